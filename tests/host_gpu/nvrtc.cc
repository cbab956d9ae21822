/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for NVRTC: kernels become shared objects by the host's C++ compiler
 * (SCR_HOST_GPU_CXX), with device.h from SCR_HOST_GPU_INCLUDE before their text, linked to the
 * stand-in for the driver (SCR_HOST_GPU_DRIVER). An image is the object's size in eight bytes and
 * the object.
 */
#include "build.h"

#include <cstdint>
#include <cstring>
#include <string>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace
{

struct program {
    std::string source, log, image;
};

} // namespace

EXPORT int nvrtcVersion(int *major, int *minor)
{
    *major = 13;
    *minor = 0;
    return 0;
}
EXPORT int nvrtcGetNumSupportedArchs(int *n)
{
    *n = 2;
    return 0;
}
EXPORT int nvrtcGetSupportedArchs(int *archs)
{
    archs[0] = 80;
    archs[1] = 90;
    return 0;
}
EXPORT int nvrtcCreateProgram(program **out, const char *source, const char *, int,
                              const char *const *, const char *const *)
{
    static const std::string dynamic = "extern __shared__ __align__";
    std::string text = source;
    size_t at = text.find(dynamic);

    /* Dynamic shared memory is the machine's own: its declaration goes. */
    if (at != std::string::npos)
        text.erase(at, text.find(';', at) - at);
    *out = new program{"#include \"device.h\"\n" + text, "", ""};
    return 0;
}
EXPORT int nvrtcDestroyProgram(program **p)
{
    delete *p;
    *p = nullptr;
    return 0;
}
EXPORT int nvrtcCompileProgram(program *p, int n, const char *const *options)
{
    std::string compiler = host_gpu::setting("SCR_HOST_GPU_CXX") +
                           " -std=gnu++17 -fno-strict-aliasing -I'" +
                           host_gpu::setting("SCR_HOST_GPU_INCLUDE") + "'";
    host_gpu::built built;
    uint64_t size;

    for (int i = 0; i < n; i++) {
        if (strncmp(options[i], "--define-macro=", 15) == 0)
            compiler += std::string(" -D") + (options[i] + 15);
    }
    built = host_gpu::build(compiler, "c++", p->source);
    p->log = built.log;
    if (built.object.empty())
        return 6;
    size = built.object.size();
    p->image = std::string((const char *)&size, sizeof size) + built.object;
    return 0;
}
EXPORT int nvrtcGetCUBINSize(program *p, size_t *size)
{
    *size = p->image.size();
    return 0;
}
EXPORT int nvrtcGetCUBIN(program *p, char *out)
{
    memcpy(out, p->image.data(), p->image.size());
    return 0;
}
EXPORT int nvrtcGetPTXSize(program *p, size_t *size)
{
    *size = p->image.size();
    return 0;
}
EXPORT int nvrtcGetPTX(program *p, char *out)
{
    memcpy(out, p->image.data(), p->image.size());
    return 0;
}
EXPORT int nvrtcGetProgramLogSize(program *p, size_t *size)
{
    *size = p->log.size() + 1;
    return 0;
}
EXPORT int nvrtcGetProgramLog(program *p, char *out)
{
    memcpy(out, p->log.c_str(), p->log.size() + 1);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for NVRTC: kernels become shared objects by the host's C++ compiler
 * (SCR_HOST_GPU_CXX), with device.h from SCR_HOST_GPU_INCLUDE before their text, linked to the
 * stand-in for the driver (SCR_HOST_GPU_DRIVER). An image is the object's size in eight bytes and
 * the object.
 */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace
{

struct program {
    std::string source, log, image;
};

std::string setting(const char *name)
{
    const char *text = getenv(name);

    return text != nullptr ? text : "";
}

std::string contents(const std::string &path)
{
    std::ifstream f(path, std::ios::binary);

    return std::string(std::istreambuf_iterator<char>(f), std::istreambuf_iterator<char>());
}

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
    char folder[] = "/tmp/scr-host-nvrtc-XXXXXX";
    std::string command, base;
    int status;

    if (mkdtemp(folder) == nullptr)
        return 1;
    base = std::string(folder) + "/kernel";
    std::ofstream(base + ".cc") << p->source;
    command = setting("SCR_HOST_GPU_CXX") + " -std=gnu++17 -O1 -w -fPIC -shared -ffp-contract=off" +
              " -fno-strict-aliasing -I'" + setting("SCR_HOST_GPU_INCLUDE") + "'";
    for (int i = 0; i < n; i++) {
        if (strncmp(options[i], "--define-macro=", 15) == 0)
            command += std::string(" -D") + (options[i] + 15);
    }
    command += " -o " + base + ".so " + base + ".cc '" + setting("SCR_HOST_GPU_DRIVER") + "' > " +
               base + ".log 2>&1";
    status = system(command.c_str());
    p->log = contents(base + ".log");
    if (status == 0) {
        std::string object = contents(base + ".so");
        uint64_t size = object.size();

        p->image = std::string((const char *)&size, sizeof size) + object;
    }
    for (const char *ending : {".cc", ".so", ".log"})
        unlink((base + ending).c_str());
    rmdir(folder);
    return status == 0 ? 0 : 6;
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

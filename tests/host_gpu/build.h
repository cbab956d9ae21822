/* SPDX-License-Identifier: Apache-2.0 */
/* How the stand-ins for NVRTC and for an OpenCL driver compile a kernel's text for the host. */
#ifndef SCR_TESTS_HOST_GPU_BUILD_H
#define SCR_TESTS_HOST_GPU_BUILD_H

#include <cstdlib>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <string>

#include <unistd.h>

namespace host_gpu
{

/* An environment variable, "" where it is not set. */
inline std::string setting(const char *name)
{
    const char *text = getenv(name);

    return text != nullptr ? text : "";
}

inline std::string contents(const std::string &path)
{
    std::ifstream f(path, std::ios::binary);

    return std::string(std::istreambuf_iterator<char>(f), std::istreambuf_iterator<char>());
}

struct built {
    std::string object, log; /* no object where it did not compile */
};

/*
 * A shared object of `source`, linked to the library SCR_HOST_GPU_DRIVER.
 * compiler  the command and its options
 * language  as its -x has it
 */
inline built build(const std::string &compiler, const std::string &language,
                   const std::string &source)
{
    char folder[] = "/tmp/scr-host-gpu-build-XXXXXX";
    std::string base, command;
    built out;

    if (mkdtemp(folder) == nullptr) {
        out.log = "no temporary folder";
        return out;
    }
    base = std::string(folder) + "/kernel";
    std::ofstream(base) << source;
    command = compiler + " -O1 -w -fPIC -shared -ffp-contract=off -o " + base + ".so -x " +
              language + " " + base + " -x none '" + setting("SCR_HOST_GPU_DRIVER") + "' > " +
              base + ".log 2>&1";
    if (system(command.c_str()) == 0)
        out.object = contents(base + ".so");
    out.log = contents(base + ".log");
    for (const char *ending : {"", ".so", ".log"})
        unlink((base + ending).c_str());
    rmdir(folder);
    return out;
}

} // namespace host_gpu

#endif

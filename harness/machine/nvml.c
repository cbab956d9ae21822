/* SPDX-License-Identifier: Apache-2.0 */
#include "nvml.h"

#include <screening/error.h>

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of NVIDIA's nvml.h, API version 13; the binary interface keeps what it has. */
typedef void *nvml_device;
enum {
    NVML_SUCCESS = 0,
    NVML_CLOCK_SM = 1,
    NVML_TEMPERATURE_GPU = 0,
};

/* nvmlClocksEventReason*: why the clock is not the highest. */
enum {
    SW_POWER_CAP = 0x4,
    HW_SLOWDOWN = 0x8,
    SW_THERMAL_SLOWDOWN = 0x20,
    HW_THERMAL_SLOWDOWN = 0x40,
    HW_POWER_BRAKE_SLOWDOWN = 0x80,
    HELD_DOWN = SW_POWER_CAP | HW_SLOWDOWN | SW_THERMAL_SLOWDOWN | HW_THERMAL_SLOWDOWN |
                HW_POWER_BRAKE_SLOWDOWN,
};

struct scr_nvml {
    void *library;
    nvml_device device;
    bool started;
    double sm_max_mhz;

    int (*init)(void);
    int (*shutdown)(void);
    const char *(*error_string)(int);
    int (*get_handle)(const char *pci, nvml_device *);
    /* NULL where the library has no such function. */
    int (*get_clock)(nvml_device, int type, unsigned *mhz);
    int (*get_max_clock)(nvml_device, int type, unsigned *mhz);
    int (*get_temperature)(nvml_device, int sensor, unsigned *celsius);
    int (*get_power)(nvml_device, unsigned *milliwatts);
    int (*get_reasons)(nvml_device, unsigned long long *);
};

/* function: where the pointer to the function goes; POSIX gives it the form of a void pointer. */
static bool find(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);

    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static int load(struct scr_nvml *nvml, char *why, size_t why_size)
{
    const struct {
        const char *name;
        void *function;
    } needed[] = {{"nvmlInit_v2", &nvml->init},
                  {"nvmlShutdown", &nvml->shutdown},
                  {"nvmlErrorString", &nvml->error_string},
                  {"nvmlDeviceGetHandleByPciBusId_v2", &nvml->get_handle}};
    const char *named = getenv("SCR_NVML");
    const char *file = named != NULL && named[0] != '\0' ? named : "libnvidia-ml.so.1";

    nvml->library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (nvml->library == NULL) {
        snprintf(why, why_size,
                 file == named ? "SCR_NVML names %s, which cannot be loaded" : "%s not found",
                 file);
        return SCR_ERR_NOT_FOUND;
    }
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (!find(nvml->library, needed[i].name, needed[i].function)) {
            snprintf(why, why_size, "%s has no %s", file, needed[i].name);
            return SCR_ERR_NOT_FOUND;
        }
    }
    find(nvml->library, "nvmlDeviceGetClockInfo", &nvml->get_clock);
    find(nvml->library, "nvmlDeviceGetMaxClockInfo", &nvml->get_max_clock);
    find(nvml->library, "nvmlDeviceGetTemperature", &nvml->get_temperature);
    find(nvml->library, "nvmlDeviceGetPowerUsage", &nvml->get_power);
    /* The second is its older name. */
    if (!find(nvml->library, "nvmlDeviceGetCurrentClocksEventReasons", &nvml->get_reasons))
        find(nvml->library, "nvmlDeviceGetCurrentClocksThrottleReasons", &nvml->get_reasons);
    return SCR_OK;
}

static int start(struct scr_nvml *nvml, const char *pci, char *why, size_t why_size)
{
    unsigned mhz;
    int error;

    if (pci[0] == '\0') {
        snprintf(why, why_size, "the PCI address of the GPU is not known");
        return SCR_ERR_NOT_FOUND;
    }
    error = nvml->init();
    if (error != NVML_SUCCESS) {
        snprintf(why, why_size, "NVML does not start: %s", nvml->error_string(error));
        return SCR_ERR_DEVICE;
    }
    nvml->started = true;
    error = nvml->get_handle(pci, &nvml->device);
    if (error != NVML_SUCCESS) {
        snprintf(why, why_size, "NVML does not open %s: %s", pci, nvml->error_string(error));
        return SCR_ERR_NOT_FOUND;
    }
    nvml->sm_max_mhz = NAN;
    if (nvml->get_max_clock != NULL &&
        nvml->get_max_clock(nvml->device, NVML_CLOCK_SM, &mhz) == NVML_SUCCESS)
        nvml->sm_max_mhz = mhz;
    return SCR_OK;
}

int scr_nvml_open(const char *pci, struct scr_nvml **out, char *why, size_t why_size)
{
    struct scr_nvml *nvml = calloc(1, sizeof *nvml);
    int status;

    *out = NULL;
    if (nvml == NULL) {
        snprintf(why, why_size, "out of memory");
        return SCR_ERR_NO_MEMORY;
    }
    status = load(nvml, why, why_size);
    if (status == SCR_OK)
        status = start(nvml, pci, why, why_size);
    if (status == SCR_OK)
        *out = nvml;
    else
        scr_nvml_close(&nvml);
    return status;
}

bool scr_nvml_sample(const struct scr_nvml *nvml, struct scr_clock_sample *out)
{
    unsigned long long reasons;
    unsigned value;

    *out = (struct scr_clock_sample){NAN, NAN, NAN, NAN, NAN};
    if (nvml == NULL)
        return false;
    out->sm_max_mhz = nvml->sm_max_mhz;
    if (nvml->get_clock != NULL &&
        nvml->get_clock(nvml->device, NVML_CLOCK_SM, &value) == NVML_SUCCESS)
        out->sm_mhz = value;
    if (nvml->get_temperature != NULL &&
        nvml->get_temperature(nvml->device, NVML_TEMPERATURE_GPU, &value) == NVML_SUCCESS)
        out->temperature_c = value;
    if (nvml->get_power != NULL && nvml->get_power(nvml->device, &value) == NVML_SUCCESS)
        out->power_w = value / 1e3;
    if (nvml->get_reasons != NULL && nvml->get_reasons(nvml->device, &reasons) == NVML_SUCCESS)
        out->throttled = (reasons & HELD_DOWN) != 0;
    return !isnan(out->sm_mhz) || !isnan(out->temperature_c) || !isnan(out->power_w) ||
           !isnan(out->throttled);
}

void scr_nvml_close(struct scr_nvml **pnvml)
{
    struct scr_nvml *nvml = *pnvml;

    if (nvml == NULL)
        return;
    if (nvml->started)
        nvml->shutdown();
    if (nvml->library != NULL)
        dlclose(nvml->library);
    free(nvml);
    *pnvml = NULL;
}

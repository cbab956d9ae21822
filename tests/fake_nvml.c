/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands for libnvidia-ml.so.1 in test_nvml.c: one GPU at 0000:65:00.0. FAKE_NVML_INIT and
 * FAKE_NVML_QUERY are the errors that starting and every question give, FAKE_NVML_REASONS the bits
 * of why the clock is where it is. With FAKE_NVML_OLD it has the older name of that function and
 * no temperature.
 */
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_FOUND = 6, CLOCK_SM = 1 };

int fake_nvml_users; /* started and not shut down */

int nvmlInit_v2(void);
int nvmlShutdown(void);
const char *nvmlErrorString(int error);
int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, void **device);
int nvmlDeviceGetClockInfo(void *device, int type, unsigned *mhz);
int nvmlDeviceGetMaxClockInfo(void *device, int type, unsigned *mhz);
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *celsius);
int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts);
int nvmlDeviceGetCurrentClocksEventReasons(void *device, unsigned long long *reasons);
int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *reasons);

static unsigned long long number(const char *name)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 0) : 0;
}

static int answer(void *device)
{
    if (fake_nvml_users < 1)
        return UNINITIALIZED;
    return device != &fake_nvml_users ? INVALID_ARGUMENT : (int)number("FAKE_NVML_QUERY");
}

int nvmlInit_v2(void)
{
    int error = (int)number("FAKE_NVML_INIT");

    fake_nvml_users += error == SUCCESS;
    return error;
}

int nvmlShutdown(void)
{
    fake_nvml_users--;
    return SUCCESS;
}

const char *nvmlErrorString(int error)
{
    return error == 9 ? "Driver Not Loaded" : error == NOT_FOUND ? "Not Found" : "Unknown Error";
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, void **device)
{
    *device = &fake_nvml_users;
    if (fake_nvml_users < 1)
        return UNINITIALIZED;
    return strcmp(pci, "0000:65:00.0") == 0 ? SUCCESS : NOT_FOUND;
}

int nvmlDeviceGetClockInfo(void *device, int type, unsigned *mhz)
{
    *mhz = type == CLOCK_SM ? 1755 : 2619;
    return answer(device);
}

int nvmlDeviceGetMaxClockInfo(void *device, int type, unsigned *mhz)
{
    *mhz = type == CLOCK_SM ? 1980 : 2619;
    return answer(device);
}

int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts)
{
    *milliwatts = 412500;
    return answer(device);
}

static int get_reasons(void *device, unsigned long long *reasons)
{
    *reasons = number("FAKE_NVML_REASONS");
    return answer(device);
}

#ifdef FAKE_NVML_OLD
int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *reasons)
{
    return get_reasons(device, reasons);
}
#else
int nvmlDeviceGetCurrentClocksEventReasons(void *device, unsigned long long *reasons)
{
    return get_reasons(device, reasons);
}

int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *celsius)
{
    *celsius = 61;
    return sensor == 0 ? answer(device) : INVALID_ARGUMENT;
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime/cuda_api.h against the toolkit's own <cuda.h> and <nvrtc.h>: constants and types when it
 * compiles, symbol names when it runs. Exit status 77 where the toolkit is not installed.
 */
#include <stdio.h>

#if __has_include(<cuda.h>) && __has_include(<nvrtc.h>)
/* nvrtc.h tests macros that nobody defines. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wundef"
#include <cuda.h>
#include <nvrtc.h>
#pragma GCC diagnostic pop

#include "cuda_api.h"

#include <stdbool.h>
#include <string.h>

#define SAME_VALUE(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #ours)
#define SAME_SIZE(ours, theirs)  _Static_assert(sizeof(ours) == sizeof(theirs), #ours)

SAME_VALUE(SCR_CU_SUCCESS, CUDA_SUCCESS);
SAME_VALUE(SCR_CU_ERROR_OUT_OF_MEMORY, CUDA_ERROR_OUT_OF_MEMORY);
SAME_VALUE(SCR_CU_ATTRIBUTE_MAX_THREADS_PER_BLOCK, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
SAME_VALUE(SCR_CU_ATTRIBUTE_MULTIPROCESSOR_COUNT, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
SAME_VALUE(SCR_CU_ATTRIBUTE_COMPUTE_MODE, CU_DEVICE_ATTRIBUTE_COMPUTE_MODE);
SAME_VALUE(SCR_CU_ATTRIBUTE_L2_CACHE_SIZE, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
SAME_VALUE(SCR_CU_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
SAME_VALUE(SCR_CU_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
SAME_VALUE(SCR_CU_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
           CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
SAME_VALUE(SCR_CU_COMPUTEMODE_PROHIBITED, CU_COMPUTEMODE_PROHIBITED);
SAME_VALUE(SCR_CU_STREAM_NON_BLOCKING, CU_STREAM_NON_BLOCKING);
SAME_VALUE(SCR_CU_EVENT_DEFAULT, CU_EVENT_DEFAULT);
SAME_VALUE(SCR_CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
SAME_VALUE(SCR_CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
SAME_VALUE(SCR_CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES);
SAME_VALUE(SCR_CU_FUNC_ATTRIBUTE_NUM_REGS, CU_FUNC_ATTRIBUTE_NUM_REGS);
SAME_VALUE(SCR_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
           CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
SAME_VALUE(SCR_CU_TENSOR_MAP_DATA_TYPE_UINT16, CU_TENSOR_MAP_DATA_TYPE_UINT16);
SAME_VALUE(SCR_CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_INTERLEAVE_NONE);
SAME_VALUE(SCR_CU_TENSOR_MAP_SWIZZLE_32B, CU_TENSOR_MAP_SWIZZLE_32B);
SAME_VALUE(SCR_CU_TENSOR_MAP_SWIZZLE_64B, CU_TENSOR_MAP_SWIZZLE_64B);
SAME_VALUE(SCR_CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_SWIZZLE_128B);
SAME_VALUE(SCR_CU_TENSOR_MAP_L2_PROMOTION_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_128B);
SAME_VALUE(SCR_CU_TENSOR_MAP_L2_PROMOTION_256B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B);
SAME_VALUE(SCR_CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
SAME_VALUE(SCR_CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER);
SAME_VALUE(SCR_CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
SAME_VALUE(SCR_NVRTC_SUCCESS, NVRTC_SUCCESS);

SAME_SIZE(scr_cu_result, CUresult);
SAME_SIZE(scr_cu_device, CUdevice);
SAME_SIZE(scr_cu_pointer, CUdeviceptr);
SAME_SIZE(scr_cu_context, CUcontext);
SAME_SIZE(scr_cu_stream, CUstream);
SAME_SIZE(scr_cu_event, CUevent);
SAME_SIZE(scr_cu_module, CUmodule);
SAME_SIZE(scr_cu_tensor_map, CUtensorMap);
_Static_assert(_Alignof(scr_cu_tensor_map) == _Alignof(CUtensorMap), "alignment");
SAME_SIZE(int, CUtensorMapSwizzle);
SAME_SIZE(scr_cu_function, CUfunction);
SAME_SIZE(int, CUdevice_attribute);
SAME_SIZE(int, CUfunction_attribute);
SAME_SIZE(int, CUjit_option);
SAME_SIZE(scr_nvrtc_result, nvrtcResult);
SAME_SIZE(scr_nvrtc_program, nvrtcProgram);

/* cuda.h maps a name of the API to the symbol of its present version: cuMemAlloc, cuMemAlloc_v2. */
#define TEXT_(x)                       #x
#define TEXT(x)                        TEXT_(x)
#define PAIR(name, symbol, parameters) {TEXT(name), symbol},

static const struct {
    const char *theirs, *ours;
} symbols[] = {SCR_CU_FUNCTIONS(PAIR) SCR_CU_NEWER_FUNCTIONS(PAIR) SCR_NVRTC_FUNCTIONS(PAIR)};

int main(void)
{
    int failed = 0;

    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        /* The second version has the parameters of the first, which older drivers have too. */
        bool same = strcmp(symbols[i].theirs, symbols[i].ours) == 0 ||
                    (strcmp(symbols[i].theirs, "cuEventElapsedTime_v2") == 0 &&
                     strcmp(symbols[i].ours, "cuEventElapsedTime") == 0);

        if (!same) {
            printf("%s: the toolkit's symbol is %s\n", symbols[i].ours, symbols[i].theirs);
            failed++;
        }
    }
    printf("%zu symbols compared, %d differ\n", sizeof symbols / sizeof symbols[0], failed);
    return failed != 0;
}
#else
int main(void)
{
    printf("skipped: the CUDA toolkit's headers are not installed\n");
    return 77;
}
#endif

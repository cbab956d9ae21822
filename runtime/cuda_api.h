/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the CUDA driver API and of NVRTC that this library uses, declared here so that it
 * builds where no toolkit is installed. Handles are opaque pointers, results and enumerations ints,
 * as in the binary interface; tests/test_cuda_api.c compares all of it with <cuda.h> and <nvrtc.h>.
 */
#ifndef SCR_RUNTIME_CUDA_API_H
#define SCR_RUNTIME_CUDA_API_H

#include <stddef.h>
#include <stdint.h>

typedef int scr_cu_result;
typedef int scr_cu_device;
typedef uint64_t scr_cu_pointer;
typedef void *scr_cu_context, *scr_cu_stream, *scr_cu_event, *scr_cu_module, *scr_cu_function;

enum {
    SCR_CU_SUCCESS = 0,
    SCR_CU_ERROR_OUT_OF_MEMORY = 2,

    SCR_CU_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 1,
    SCR_CU_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
    SCR_CU_ATTRIBUTE_COMPUTE_MODE = 20,
    SCR_CU_ATTRIBUTE_L2_CACHE_SIZE = 38,
    SCR_CU_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
    SCR_CU_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
    SCR_CU_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 97,

    SCR_CU_COMPUTEMODE_PROHIBITED = 2,
    SCR_CU_STREAM_NON_BLOCKING = 1,
    SCR_CU_EVENT_DEFAULT = 0,
    SCR_CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 0,
    SCR_CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES = 1,
    SCR_CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES = 3,
    SCR_CU_FUNC_ATTRIBUTE_NUM_REGS = 4,
    SCR_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8,

    SCR_CU_TENSOR_MAP_DATA_TYPE_UINT16 = 1,
    SCR_CU_TENSOR_MAP_INTERLEAVE_NONE = 0,
    SCR_CU_TENSOR_MAP_SWIZZLE_32B = 1,
    SCR_CU_TENSOR_MAP_SWIZZLE_64B = 2,
    SCR_CU_TENSOR_MAP_SWIZZLE_128B = 3,
    SCR_CU_TENSOR_MAP_L2_PROMOTION_128B = 2,
    SCR_CU_TENSOR_MAP_L2_PROMOTION_256B = 3,
    SCR_CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE = 0,

    SCR_CU_JIT_ERROR_LOG_BUFFER = 5,
    SCR_CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6,
};

/* F(name in the API, symbol in libcuda.so.1, parameters): all return scr_cu_result. */
#define SCR_CU_FUNCTIONS(F)                                                                        \
    F(cuInit, "cuInit", (unsigned flags))                                                          \
    F(cuDriverGetVersion, "cuDriverGetVersion", (int *version))                                    \
    F(cuGetErrorName, "cuGetErrorName", (scr_cu_result error, const char **name))                  \
    F(cuDeviceGetCount, "cuDeviceGetCount", (int *count))                                          \
    F(cuDeviceGet, "cuDeviceGet", (scr_cu_device * dev, int ordinal))                              \
    F(cuDeviceGetName, "cuDeviceGetName", (char *name, int len, scr_cu_device dev))                \
    F(cuDeviceGetAttribute, "cuDeviceGetAttribute",                                                \
      (int *value, int attribute, scr_cu_device dev))                                              \
    F(cuDeviceTotalMem, "cuDeviceTotalMem_v2", (size_t * bytes, scr_cu_device dev))                \
    F(cuDeviceGetPCIBusId, "cuDeviceGetPCIBusId", (char *id, int len, scr_cu_device dev))          \
    F(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain",                                        \
      (scr_cu_context * ctx, scr_cu_device dev))                                                   \
    F(cuDevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2", (scr_cu_device dev))              \
    F(cuCtxPushCurrent, "cuCtxPushCurrent_v2", (scr_cu_context ctx))                               \
    F(cuCtxPopCurrent, "cuCtxPopCurrent_v2", (scr_cu_context * ctx))                               \
    F(cuCtxGetDevice, "cuCtxGetDevice", (scr_cu_device * dev))                                     \
    F(cuStreamCreate, "cuStreamCreate", (scr_cu_stream * stream, unsigned flags))                  \
    F(cuStreamDestroy, "cuStreamDestroy_v2", (scr_cu_stream stream))                               \
    F(cuStreamSynchronize, "cuStreamSynchronize", (scr_cu_stream stream))                          \
    F(cuEventCreate, "cuEventCreate", (scr_cu_event * event, unsigned flags))                      \
    F(cuEventDestroy, "cuEventDestroy_v2", (scr_cu_event event))                                   \
    F(cuEventRecord, "cuEventRecord", (scr_cu_event event, scr_cu_stream stream))                  \
    F(cuEventSynchronize, "cuEventSynchronize", (scr_cu_event event))                              \
    F(cuEventElapsedTime, "cuEventElapsedTime",                                                    \
      (float *milliseconds, scr_cu_event start, scr_cu_event end))                                 \
    F(cuMemAlloc, "cuMemAlloc_v2", (scr_cu_pointer * ptr, size_t bytes))                           \
    F(cuMemFree, "cuMemFree_v2", (scr_cu_pointer ptr))                                             \
    F(cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2",                                                   \
      (scr_cu_pointer dst, const void *src, size_t bytes, scr_cu_stream stream))                   \
    F(cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2",                                                   \
      (void *dst, scr_cu_pointer src, size_t bytes, scr_cu_stream stream))                         \
    F(cuMemsetD8Async, "cuMemsetD8Async",                                                          \
      (scr_cu_pointer dst, unsigned char byte, size_t bytes, scr_cu_stream stream))                \
    F(cuModuleLoadDataEx, "cuModuleLoadDataEx",                                                    \
      (scr_cu_module * module, const void *image, unsigned n, int *options, void **values))        \
    F(cuModuleUnload, "cuModuleUnload", (scr_cu_module module))                                    \
    F(cuModuleGetFunction, "cuModuleGetFunction",                                                  \
      (scr_cu_function * function, scr_cu_module module, const char *name))                        \
    F(cuFuncGetAttribute, "cuFuncGetAttribute",                                                    \
      (int *value, int attribute, scr_cu_function function))                                       \
    F(cuFuncSetAttribute, "cuFuncSetAttribute",                                                    \
      (scr_cu_function function, int attribute, int value))                                        \
    F(cuLaunchKernel, "cuLaunchKernel",                                                            \
      (scr_cu_function function, unsigned grid_x, unsigned grid_y, unsigned grid_z,                \
       unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,                \
       scr_cu_stream stream, void **parameters, void **extra))

/* Passed to a kernel by value; its address is a multiple of 128 on the host, too. */
typedef struct scr_cu_tensor_map {
    _Alignas(128) uint64_t opaque[16];
} scr_cu_tensor_map;

/* Those that drivers before CUDA 12.0 lack; NULL then. */
#define SCR_CU_NEWER_FUNCTIONS(F)                                                                  \
    F(cuTensorMapEncodeTiled, "cuTensorMapEncodeTiled",                                            \
      (scr_cu_tensor_map * map, int type, uint32_t rank, void *address, const uint64_t *lengths,   \
       const uint64_t *strides, const uint32_t *box, const uint32_t *element_strides,              \
       int interleave, int swizzle, int l2_promotion, int oob_fill))

#define SCR_CU_FIELD(name, symbol, parameters) scr_cu_result(*name) parameters;
struct scr_cu_driver {
    SCR_CU_FUNCTIONS(SCR_CU_FIELD)
    SCR_CU_NEWER_FUNCTIONS(SCR_CU_FIELD)
};
#undef SCR_CU_FIELD

typedef int scr_nvrtc_result;
typedef void *scr_nvrtc_program;

enum { SCR_NVRTC_SUCCESS = 0 };

/* The same for libnvrtc, from CUDA 11.2 on. */
#define SCR_NVRTC_FUNCTIONS(F)                                                                     \
    F(nvrtcVersion, "nvrtcVersion", (int *major, int *minor))                                      \
    F(nvrtcGetNumSupportedArchs, "nvrtcGetNumSupportedArchs", (int *n))                            \
    F(nvrtcGetSupportedArchs, "nvrtcGetSupportedArchs", (int *archs))                              \
    F(nvrtcCreateProgram, "nvrtcCreateProgram",                                                    \
      (scr_nvrtc_program * program, const char *source, const char *name, int n_headers,           \
       const char *const *headers, const char *const *include_names))                              \
    F(nvrtcDestroyProgram, "nvrtcDestroyProgram", (scr_nvrtc_program * program))                   \
    F(nvrtcCompileProgram, "nvrtcCompileProgram",                                                  \
      (scr_nvrtc_program program, int n_options, const char *const *options))                      \
    F(nvrtcGetCUBINSize, "nvrtcGetCUBINSize", (scr_nvrtc_program program, size_t * size))          \
    F(nvrtcGetCUBIN, "nvrtcGetCUBIN", (scr_nvrtc_program program, char *cubin))                    \
    F(nvrtcGetPTXSize, "nvrtcGetPTXSize", (scr_nvrtc_program program, size_t * size))              \
    F(nvrtcGetPTX, "nvrtcGetPTX", (scr_nvrtc_program program, char *ptx))                          \
    F(nvrtcGetProgramLogSize, "nvrtcGetProgramLogSize",                                            \
      (scr_nvrtc_program program, size_t * size))                                                  \
    F(nvrtcGetProgramLog, "nvrtcGetProgramLog", (scr_nvrtc_program program, char *log))

#define SCR_NVRTC_FIELD(name, symbol, parameters) scr_nvrtc_result(*name) parameters;
struct scr_nvrtc_api {
    SCR_NVRTC_FUNCTIONS(SCR_NVRTC_FIELD)
};
#undef SCR_NVRTC_FIELD

#endif

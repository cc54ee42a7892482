// The sums of batch normalisation as a foreign function of XLA's CPU runtime.
//
// Of two arrays [..., rows, channels] it gives, for each channel, the sum of the first and the sum
// of their product, [..., 2, channels] in float32. For each index of the leading axes, which come
// from jax.vmap, the sums are taken once.
//
// Rows are summed in parts, whose sums lie in the second result, the scratch space [..., parts, 2,
// channels], and are added in order. So the sums are the same to the bit however many threads there
// are.

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;

float Widen(float value) { return value; }

float Widen(uint16_t bfloat16) {
  const uint32_t bits = static_cast<uint32_t>(bfloat16) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Adds rows to the sums of one part. Always inlined, so that it is compiled for each processor.
template <typename T>
__attribute__((always_inline)) inline void AddRows(const T* a, const T* b, int64_t rows,
                                                   int64_t channels, float* __restrict__ sums,
                                                   float* __restrict__ products) {
  for (int64_t row = 0; row < rows; ++row, a += channels, b += channels) {
    for (int64_t c = 0; c < channels; ++c) {
      const float value = Widen(a[c]);
      sums[c] += value;
      products[c] += value * Widen(b[c]);
    }
  }
}

#define FOR_EACH_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))

FOR_EACH_PROCESSOR
void SumPart(const float* a, const float* b, int64_t rows, int64_t channels, float* out) {
  AddRows(a, b, rows, channels, out, out + channels);
}

FOR_EACH_PROCESSOR
void SumPart(const uint16_t* a, const uint16_t* b, int64_t rows, int64_t channels, float* out) {
  AddRows(a, b, rows, channels, out, out + channels);
}

// Calls `function` with 0 to `count` - 1, in this thread and in those of XLA that are free.
//
// This thread never waits for a call that has not begun. So there is no deadlock where all threads
// of the pool are in here.
template <typename Function>
void ForEach(ffi::ThreadPool& pool, int64_t count, const Function& function) {
  struct State {
    std::atomic<int64_t> next{0};
    std::mutex mutex;
    std::condition_variable all_done;
    int64_t done = 0;
  };
  auto state = std::make_shared<State>();
  auto work = [state, count, &function] {  // after the last call it no longer uses `function`
    int64_t calls = 0;
    for (int64_t i; (i = state->next++) < count; ++calls) function(i);
    if (!calls) return;
    std::lock_guard<std::mutex> lock(state->mutex);
    state->done += calls;
    if (state->done == count) state->all_done.notify_all();
  };
  const int64_t others = std::min(pool.num_threads(), count) - 1;
  for (int64_t i = 0; i < others; ++i) pool.Schedule(std::function<void()>(work));
  work();
  std::unique_lock<std::mutex> lock(state->mutex);
  state->all_done.wait(lock, [&] { return state->done == count; });
}

template <typename T>
void Sum(ffi::ThreadPool& pool, const T* a, const T* b, int64_t repeats, int64_t rows,
         int64_t channels, int64_t parts, float* out, float* scratch) {
  const int64_t part_rows = parts ? (rows + parts - 1) / parts : 0, width = 2 * channels;
  std::memset(scratch, 0, repeats * parts * width * sizeof(float));
  ForEach(pool, repeats * parts, [&](int64_t i) {
    const int64_t first = i % parts * part_rows;
    const int64_t offset = (i / parts * rows + first) * channels;
    SumPart(a + offset, b + offset, std::min(part_rows, rows - first), channels,
            scratch + i * width);
  });
  std::vector<double> total(width);
  for (int64_t repeat = 0; repeat < repeats; ++repeat, out += width) {
    std::fill(total.begin(), total.end(), 0.0);
    for (int64_t part = 0; part < parts; ++part, scratch += width) {
      for (int64_t c = 0; c < width; ++c) total[c] += scratch[c];
    }
    std::copy(total.begin(), total.end(), out);
  }
}

ffi::Error Run(ffi::ThreadPool pool, ffi::AnyBuffer a, ffi::AnyBuffer b,
               ffi::ResultBuffer<ffi::F32> result, ffi::ResultBuffer<ffi::F32> scratch) {
  const auto shape = a.dimensions();
  const int64_t channels = shape.back(), rows = shape[shape.size() - 2];
  const int64_t parts = scratch->dimensions()[shape.size() - 2];
  int64_t repeats = 1;
  for (size_t axis = 0; axis + 2 < shape.size(); ++axis) repeats *= shape[axis];
  auto sum = [&](auto* first, auto* second) {
    Sum(pool, first, second, repeats, rows, channels, parts, result->typed_data(),
        scratch->typed_data());
  };
  if (a.element_type() == ffi::DataType::F32) {
    sum(a.typed_data<float>(), b.typed_data<float>());
  } else {  // bfloat16
    sum(static_cast<uint16_t*>(a.untyped_data()), static_cast<uint16_t*>(b.untyped_data()));
  }
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(channel_sums, Run,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());

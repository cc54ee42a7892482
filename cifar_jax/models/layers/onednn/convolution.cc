// oneDNN's convolutions as foreign functions of XLA's CPU runtime.
//
// Three operations of two inputs each: a convolution, the gradient of its input, and the gradient
// of its kernel. Images are [..., batch, height, width, channels], kernels are [..., height, width,
// inputs / groups, outputs]. The leading axes, which both inputs and the result share, come from
// jax.vmap: for each of their indices the operation is computed once.
//
// Each foreign function has a second result that nothing reads: its scratch space, so that XLA plans
// this memory with all other. `scratch_bytes` tells its size.

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "dnnl.hpp"
#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;
using dnnl::memory;
using memory_type = memory::data_type;
using Dims = memory::dims;

constexpr size_t kAlignment = 64;  // bytes, a cache line
constexpr size_t kMaxPlans = 2048;  // the largest nets have a few hundred different convolutions

enum Operation { kConvolution, kInputGradient, kKernelGradient };
enum Role { kImages, kKernel, kOutputs };

// The roles of the first input, the second input and the result of each operation.
constexpr Role kRoles[3][3] = {{kImages, kKernel, kOutputs},
                               {kOutputs, kKernel, kImages},
                               {kImages, kOutputs, kKernel}};

const dnnl::engine& Engine() {
  static const auto* engine = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *engine;
}

// One thread that makes all calls of oneDNN. Each thread that enters an OpenMP region gets a team
// of its own, so that the many threads of XLA would have as many teams. In one thread the calls
// take turns, and each has all processors.
class Caller {
 public:
  static Caller& Get() {
    static auto* caller = new Caller;  // lives until the process ends, as its thread does
    return *caller;
  }

  // Calls `job` and waits for its end. Throws what it throws.
  void Call(std::function<void()> job) {
    std::packaged_task<void()> task(std::move(job));
    std::future<void> done = task.get_future();
    {
      std::lock_guard<std::mutex> lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    arrived_.notify_one();
    done.get();
  }

 private:
  Caller() { std::thread([this] { Loop(); }).detach(); }

  [[noreturn]] void Loop() {
    while (true) {
      std::unique_lock<std::mutex> lock(mutex_);
      arrived_.wait(lock, [this] { return !tasks_.empty(); });
      std::packaged_task<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<std::packaged_task<void()>> tasks_;
};

constexpr uintptr_t kHugePage = 2 << 20;  // bytes

uintptr_t HeapEnd() { return reinterpret_cast<uintptr_t>(sbrk(0)) / kHugePage * kHugePage; }

// The heap that is taken after this library is loaded, which is before any array of a model.
const uintptr_t kHeapStart = HeapEnd() + kHugePage;

// Lets Linux back the heap with huge pages. XLA takes the memory of a step from malloc, which returns
// gigabytes to the system after the step: DenseNet-BC-100 at batch 128 then spends a third of its
// time on a million faults of pages of 4 KB. What malloc takes again is a new mapping, so this is
// called before each operation; where nothing is new, it takes a microsecond.
void UseHugePages() {
  if (const uintptr_t end = HeapEnd(); kHeapStart < end) {
    madvise(reinterpret_cast<void*>(kHeapStart), end - kHeapStart, MADV_HUGEPAGE);
  }
}

// What the result of an operation depends on, but for the numbers.
struct Problem {
  Operation operation;
  memory_type type;
  std::array<Dims, 3> shapes;  // by role, the last four axes
  Dims strides, padding;       // padding: above, left, below, right
  int64_t groups;

  std::vector<int64_t> Key() const {
    std::vector<int64_t> key = {operation, static_cast<int64_t>(type), groups};
    for (const Dims* part : {&shapes[0], &shapes[1], &shapes[2], &strides, &padding}) {
      key.insert(key.end(), part->begin(), part->end());
    }
    return key;
  }

  // The layout of an array in XLA's buffer, or with `any` of one that the primitive chooses.
  memory::desc Layout(Role role, bool any = false) const {
    const Dims& s = shapes[role];
    if (role != kKernel) return {{s[0], s[3], s[1], s[2]}, type, memory::format_tag::nhwc};
    auto tag = groups > 1 ? memory::format_tag::hwigo : memory::format_tag::hwio;
    Dims dims = {s[3] / groups, s[2], s[0], s[1]};
    if (groups > 1) dims.insert(dims.begin(), groups);
    return {dims, type, any ? memory::format_tag::any : tag};
  }
};

// An input or the result of a primitive.
struct Operand {
  int argument;                // one of DNNL_ARG_...
  memory::desc given, wanted;  // its layouts in XLA's buffer and in the primitive
  dnnl::reorder reorder;       // from one to the other; empty where they are equal
  size_t offset = 0;           // of the reordered copy in the scratch space
};

// A primitive with all that its execution needs.
struct Plan {
  dnnl::primitive primitive;
  std::array<Operand, 3> operands;
  memory::desc scratchpad;
  size_t scratch_bytes;  // the scratchpad, then the reordered copies
};

size_t Aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

dnnl::primitive_desc_base Describe(const Problem& p) {
  const auto direct = dnnl::algorithm::convolution_direct;
  const memory::desc images = p.Layout(kImages), outputs = p.Layout(kOutputs);
  const memory::desc kernel = p.Layout(kKernel, /*any=*/true);
  const Dims before = {p.padding[0], p.padding[1]}, after = {p.padding[2], p.padding[3]};
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::convolution_forward::primitive_desc forward(
      Engine(), dnnl::prop_kind::forward_training, direct, images, kernel, outputs, p.strides,
      before, after, attributes);
  switch (p.operation) {
    case kConvolution:
      return forward;
    case kInputGradient:
      return dnnl::convolution_backward_data::primitive_desc(Engine(), direct, images, kernel,
                                                             outputs, p.strides, before, after,
                                                             forward, attributes);
    default:
      return dnnl::convolution_backward_weights::primitive_desc(Engine(), direct, images, kernel,
                                                                outputs, p.strides, before, after,
                                                                forward, attributes);
  }
}

int Argument(Operation operation, int position) {
  const bool is_result = position == 2;
  switch (kRoles[operation][position]) {
    case kImages:
      return is_result ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC;
    case kKernel:
      return is_result ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS;
    default:
      return is_result ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST;
  }
}

Plan MakePlan(const Problem& p) {
  const dnnl::primitive_desc_base description = Describe(p);
  Plan plan;
  plan.primitive = dnnl::primitive(description.get());
  plan.scratchpad = description.scratchpad_desc();
  plan.scratch_bytes = Aligned(plan.scratchpad.get_size());
  for (int i = 0; i < 3; ++i) {
    Operand& operand = plan.operands[i];
    operand.argument = Argument(p.operation, i);
    operand.given = p.Layout(kRoles[p.operation][i]);
    operand.wanted = description.query_md(dnnl::query::exec_arg_md, operand.argument);
    if (operand.given == operand.wanted) continue;
    const bool is_result = i == 2;
    const memory::desc& from = is_result ? operand.wanted : operand.given;
    const memory::desc& to = is_result ? operand.given : operand.wanted;
    operand.reorder = dnnl::reorder({Engine(), from, Engine(), to});
    operand.offset = plan.scratch_bytes;
    plan.scratch_bytes += Aligned(operand.wanted.get_size());
  }
  return plan;
}

// The plan of a problem, made once. Called by one thread only.
const Plan& PlanFor(const Problem& problem) {
  static auto* plans = new std::map<std::vector<int64_t>, Plan>;
  std::vector<int64_t> key = problem.Key();
  auto found = plans->find(key);
  if (found == plans->end()) {
    if (plans->size() >= kMaxPlans) plans->clear();
    found = plans->emplace(std::move(key), MakePlan(problem)).first;
  }
  return found->second;
}

// Computes one operation. `data` holds the addresses of the two inputs and the result.
void Execute(const Plan& plan, std::array<char*, 3> data, char* scratch, dnnl::stream& stream) {
  std::unordered_map<int, memory> arguments;
  arguments[DNNL_ARG_SCRATCHPAD] = memory(plan.scratchpad, Engine(), scratch);
  std::array<memory, 3> given;
  for (int i = 0; i < 3; ++i) {
    const Operand& operand = plan.operands[i];
    given[i] = memory(operand.given, Engine(), data[i]);
    memory& used = arguments[operand.argument] = given[i];
    if (!operand.reorder) continue;
    used = memory(operand.wanted, Engine(), scratch + operand.offset);
    if (i < 2) operand.reorder.execute(stream, given[i], used);
  }
  plan.primitive.execute(stream, arguments);
  const Operand& result = plan.operands[2];
  if (result.reorder) result.reorder.execute(stream, arguments[result.argument], given[2]);
  stream.wait();
}

memory_type TypeOf(ffi::DataType type) {
  if (type == ffi::DataType::F32) return memory_type::f32;
  return type == ffi::DataType::BF16 ? memory_type::bf16 : memory_type::f16;
}

Dims LastFour(ffi::Span<const int64_t> shape) { return Dims(shape.end() - 4, shape.end()); }

template <Operation kOperation>
ffi::Error Run(ffi::AnyBuffer first, ffi::AnyBuffer second, ffi::Result<ffi::AnyBuffer> result,
               ffi::Result<ffi::AnyBuffer> scratch, ffi::Span<const int64_t> strides,
               ffi::Span<const int64_t> padding, int64_t groups) {
  if (!first.element_count() || !second.element_count()) {  // oneDNN leaves the result as it is
    std::memset(result->untyped_data(), 0, result->size_bytes());
    return ffi::Error::Success();
  }
  Problem problem = {kOperation, TypeOf(first.element_type()), {},
                     Dims(strides.begin(), strides.end()), Dims(padding.begin(), padding.end()),
                     groups};
  const std::array<ffi::Span<const int64_t>, 3> shapes = {
      first.dimensions(), second.dimensions(), result->dimensions()};
  for (int i = 0; i < 3; ++i) problem.shapes[kRoles[kOperation][i]] = LastFour(shapes[i]);
  int64_t repeats = 1;
  for (size_t axis = 0; axis + 4 < shapes[0].size(); ++axis) repeats *= shapes[0][axis];
  std::array<char*, 3> data = {static_cast<char*>(first.untyped_data()),
                               static_cast<char*>(second.untyped_data()),
                               static_cast<char*>(result->untyped_data())};
  const std::array<size_t, 3> bytes = {first.size_bytes() / repeats,
                                       second.size_bytes() / repeats,
                                       result->size_bytes() / repeats};
  try {
    Caller::Get().Call([&] {
      static auto* stream = new dnnl::stream(Engine());
      UseHugePages();
      const Plan& plan = PlanFor(problem);
      if (scratch->size_bytes() < plan.scratch_bytes) {
        throw std::length_error("the program was compiled for another processor");
      }
      for (int64_t i = 0; i < repeats; ++i) {
        Execute(plan, data, static_cast<char*>(scratch->untyped_data()), *stream);
        for (int j = 0; j < 3; ++j) data[j] += bytes[j];
      }
    });
  } catch (const std::exception& error) {
    return ffi::Error::Internal(std::string("oneDNN's convolution: ") + error.what());
  }
  return ffi::Error::Success();
}

auto Signature() {
  return ffi::Ffi::Bind()
      .Arg<ffi::AnyBuffer>()
      .Arg<ffi::AnyBuffer>()
      .Ret<ffi::AnyBuffer>()
      .Ret<ffi::AnyBuffer>()
      .Attr<ffi::Span<const int64_t>>("strides")
      .Attr<ffi::Span<const int64_t>>("padding")
      .Attr<int64_t>("groups");
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(convolution, Run<kConvolution>, Signature());
XLA_FFI_DEFINE_HANDLER_SYMBOL(input_gradient, Run<kInputGradient>, Signature());
XLA_FFI_DEFINE_HANDLER_SYMBOL(kernel_gradient, Run<kKernelGradient>, Signature());

// The types by which Python asks.
constexpr memory_type kTypes[] = {memory_type::f32, memory_type::bf16, memory_type::f16};

// The bytes of scratch space of an operation, or 0 if there is no such operation.
//
// `numbers` are the shapes of images, kernel and outputs, four numbers each; two strides; the
// padding above, left, below, right; and the groups.
extern "C" int64_t scratch_bytes(int operation, int type, const int64_t* numbers) {
  auto take = [&](int count) {
    const int64_t* first = numbers;
    numbers += count;
    return Dims(first, numbers);
  };
  Problem problem = {static_cast<Operation>(operation), kTypes[type]};
  for (Dims& shape : problem.shapes) shape = take(4);
  problem.strides = take(2);
  problem.padding = take(4);
  problem.groups = *numbers;
  size_t bytes = 0;
  try {
    Caller::Get().Call([&] { bytes = PlanFor(problem).scratch_bytes; });
  } catch (const std::exception&) {  // its execution will say what is wrong
  }
  return bytes;
}

// Whether this processor has fast convolutions of a type.
extern "C" bool has_type(int type) {
  const Dims images = {1, 8, 8, 16}, kernel = {3, 3, 16, 16};
  try {
    const Problem problem = {kKernelGradient, kTypes[type], {images, kernel, images},
                             {1, 1}, {1, 1, 1, 1}, 1};
    const std::string name = Describe(problem).impl_info_str();
    return name.rfind("ref", 0) != 0;  // the slow reference form exists for all types
  } catch (const dnnl::error&) {
    return false;
  }
}

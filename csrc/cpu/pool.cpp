#include "pool.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#if defined(__unix__) || defined(__APPLE__)
#include <dlfcn.h>
#include <pthread.h>
#endif

namespace deblur {
namespace {

constexpr int kHelperSpins = 1000, kCallerSpins = 4000;  // of relax(), before sleeping

// A job is open while its caller works on it. Helpers join under the lock, which is what makes closing it safe: after
// `seats` is set to zero nobody joins any more, and the caller waits only for those who did.
struct Pool {
    std::mutex in_use;  // held by the caller whose job runs

    std::mutex lock;
    std::condition_variable work, idle;
    void (*body)(void*) = nullptr;
    void* context = nullptr;
    std::atomic<int> seats{0};   // helpers that may still join; changes under the lock, but is looked at without
    std::atomic<int> active{0};  // helpers in the body; the same
    int helpers = 0;

    void help() {
        std::unique_lock<std::mutex> guard(lock, std::defer_lock);
        for (;;) {
            for (int spins = 0; spins < kHelperSpins && seats.load(std::memory_order_relaxed) == 0; ++spins) relax();
            guard.lock();
            work.wait(guard, [this] { return seats > 0; });
            --seats;
            ++active;
            auto* job = body;
            void* argument = context;
            guard.unlock();
            job(argument);
            guard.lock();
            if (--active == 0) idle.notify_one();
            guard.unlock();
        }
    }

    void run(int wanted, void (*job)(void*), void* argument) {
        {
            std::lock_guard<std::mutex> guard(lock);
            try {
                for (; helpers < wanted; ++helpers) std::thread([this] { help(); }).detach();
            } catch (const std::system_error&) {
                // The system gives no more threads: those at hand will do.
            }
            body = job;
            context = argument;
            seats = wanted;
        }
        if (wanted == 1)
            work.notify_one();
        else
            work.notify_all();
        job(argument);
        std::unique_lock<std::mutex> guard(lock);
        seats = 0;
        if (active == 0) return;
        guard.unlock();
        for (int spins = 0; spins < kCallerSpins && active.load(std::memory_order_relaxed) > 0; ++spins) relax();
        guard.lock();
        idle.wait(guard, [this] { return active == 0; });
    }
};

// The entry that GCC compiles `#pragma omp parallel` to; LLVM's and Intel's libraries have it too.
using Parallel = void (*)(void (*body)(void*), void* context, unsigned threads, unsigned flags);
Parallel parallel = nullptr;

// Never destroyed: sleeping helpers outlive main(). A forked child has none of its parent's threads, so it starts anew,
// without OpenMP, which would wait for them.
Pool* pool = nullptr;

void reset_after_fork() {
    pool = new (std::nothrow) Pool;
    parallel = nullptr;
}

// When the library is loaded, so that no fork is missed.
const struct AtLoad {
    AtLoad() {
        pool = new (std::nothrow) Pool;
#if defined(__unix__) || defined(__APPLE__)
        pthread_atfork(nullptr, nullptr, reset_after_fork);
        parallel = reinterpret_cast<Parallel>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
#endif
    }
} at_load;

}  // namespace

void yield() { std::this_thread::yield(); }

void run_on_threads(int workers, int threads, void (*body)(void*), void* context) {
    if (workers > 1) {
        if (parallel != nullptr) return parallel(body, context, unsigned(threads), 0);
        if (pool != nullptr && pool->in_use.try_lock()) {
            Pool* held = pool;
            held->run(workers - 1, body, context);
            held->in_use.unlock();
            return;
        }
    }
    body(context);
}

}  // namespace deblur

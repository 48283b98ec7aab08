// The inverse of a dense masked convolution as one writes it by hand: pixel after pixel, images in parallel.
//
// Two of the peers of solve.py, which compiles it with -O3 -march=native -ffast-math -fopenmp. Channels are innermost in
// memory and in the loops, and the anchor was folded into the taps beforehand. In one loop the number of channels is an
// argument, as in any library. In the other it is a constant of the compiler (12, 48 or 96), so that a pixel's sums
// stay in vector registers; what this one lacks is only what has to be invented: every tap is loaded again for every
// pixel.
#include <cstdint>
#include <vector>

namespace {

constexpr int kMostChannels = 512;

// x and y: (batch, C, height, width), C = 0 for a number known at run time only; taps: [source][input][output], source 0 the inverse anchor, then the negated taps
// (a, b) in raster order.
template <int Constant>
void solve(const float* y, const float* taps, float* x, std::int64_t batch, int channels, std::int64_t height,
           std::int64_t width, std::int64_t taps_h, std::int64_t taps_w, int threads) {
    const int C = Constant > 0 ? Constant : channels;
    const std::int64_t up = taps_h - 1, left = taps_w - 1, step = (width + left) * C;
#pragma omp parallel num_threads(threads)
    {
        std::vector<float> frame(std::size_t((height + up) * step));  // zeros above and to the left
        std::vector<float> side(std::size_t(height * width * C));
#pragma omp for schedule(static)
        for (std::int64_t n = 0; n < batch; ++n) {
            const float* const from = y + n * C * height * width;
            for (int c = 0; c < C; ++c)
                for (std::int64_t p = 0; p < height * width; ++p) side[p * C + c] = from[c * height * width + p];
            for (std::int64_t i = 0; i < height; ++i)
                for (std::int64_t j = 0; j < width; ++j) {
                    float sum[Constant > 0 ? Constant : kMostChannels];
                    for (int out = 0; out < C; ++out) sum[out] = 0;
                    const float* w = taps;
                    const auto add = [&](const float* pixel) {
                        for (int in = 0; in < C; ++in, w += C)
                            for (int out = 0; out < C; ++out) sum[out] += pixel[in] * w[out];
                    };
                    add(&side[(i * width + j) * C]);
                    float* const here = &frame[(i + up) * step + (j + left) * C];
                    for (std::int64_t a = 0; a < taps_h; ++a)
                        for (std::int64_t b = 0; b < taps_w; ++b)
                            if (a > 0 || b > 0) add(here - a * step - b * C);
                    for (int out = 0; out < C; ++out) here[out] = sum[out];
                }
            float* const to = x + n * C * height * width;
            for (int c = 0; c < C; ++c)
                for (std::int64_t i = 0; i < height; ++i)
                    for (std::int64_t j = 0; j < width; ++j)
                        to[(c * height + i) * width + j] = frame[(i + up) * step + (j + left) * C + c];
        }
    }
}

}  // namespace

extern "C" int per_pixel_solve(const float* y, const float* taps, float* x, std::int64_t batch, std::int64_t channels,
                               std::int64_t height, std::int64_t width, std::int64_t taps_h, std::int64_t taps_w,
                               int constant, int threads) {
    if (channels > kMostChannels) return 1;
    const auto run = [&](auto loop) { loop(y, taps, x, batch, int(channels), height, width, taps_h, taps_w, threads); };
    if (!constant)
        run(solve<0>);
    else if (channels == 12)
        run(solve<12>);
    else if (channels == 48)
        run(solve<48>);
    else if (channels == 96)
        run(solve<96>);
    else
        return 1;
    return 0;
}

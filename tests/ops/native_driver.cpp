// Solves, convolves and differentiates a row of problems with several threads, for the sanitizers
// (test_native_sanitizers.py) and for processors that are emulated (test_native_arm64.py). Ends with 0 when the
// convolution and the weight's gradient are those of the definition, the solve inverts the convolution, and every result
// is bit-identical to the one of a single thread.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "deblur_cpu.h"

namespace {

// The definition, tap by tap and pixel by pixel: A x, or its adjoint.
template <class T>
std::vector<double> defined(const deblur_problem& p, const std::vector<T>& weight, const std::vector<T>& x) {
    const std::int64_t inputs = p.channels / p.groups, area = p.height * p.width;
    const std::int64_t row_step = p.corner & DEBLUR_BOTTOM ? p.dilation_h : -p.dilation_h;
    const std::int64_t column_step = p.corner & DEBLUR_RIGHT ? p.dilation_w : -p.dilation_w;
    std::vector<double> y(x.size(), 0.0);
    const T* tap = weight.data();
    for (std::int64_t o = 0; o < p.channels; ++o)
        for (std::int64_t i = o / inputs * inputs; i < (o / inputs + 1) * inputs; ++i)
            for (std::int64_t a = 0; a < p.taps_h; ++a)
                for (std::int64_t b = 0; b < p.taps_w; ++b, ++tap)
                    for (std::int64_t n = 0; n < p.batch; ++n)
                        for (std::int64_t r = 0; r < p.height; ++r)
                            for (std::int64_t c = 0; c < p.width; ++c) {
                                const std::int64_t row = r + a * row_step, column = c + b * column_step;
                                const std::int64_t edge_row = std::clamp<std::int64_t>(row, 0, p.height - 1);
                                const std::int64_t edge_column = std::clamp<std::int64_t>(column, 0, p.width - 1);
                                const bool outside = row != edge_row || column != edge_column;
                                if (outside && p.border == DEBLUR_ZERO) continue;
                                const std::int64_t output = (n * p.channels + o) * area + r * p.width + c;
                                const std::int64_t input =
                                    (n * p.channels + i) * area + edge_row * p.width + edge_column;
                                y[p.transpose ? input : output] +=
                                    double(*tap) * double(x[p.transpose ? output : input]);
                            }
    return y;
}

template <class T>
bool run(deblur_problem p) {
    std::mt19937 generator(1);
    std::uniform_real_distribution<double> uniform(-1, 1);
    const std::size_t inputs = std::size_t(p.channels / p.groups), area = std::size_t(p.taps_h * p.taps_w);
    const std::size_t pixels = std::size_t(p.batch * p.channels * p.height * p.width);
    // Exactly as long as they must be, so that AddressSanitizer sees every overrun.
    std::vector<T> weight(std::size_t(p.channels) * inputs * area), x(pixels), y(pixels), solved(pixels),
        repeated(pixels);
    std::vector<T> gradient(weight.size()), gradient_repeated(weight.size());
    for (T& tap : weight) tap = T(0.3 * uniform(generator) / double(inputs * area));
    for (std::size_t o = 0; o < std::size_t(p.channels); ++o) weight[(o * inputs + o % inputs) * area] += T(1);
    for (T& value : x) value = T(uniform(generator));

    bool passed = deblur_conv(&p, x.data(), weight.data(), y.data(), 3) == DEBLUR_OK;
    passed = passed && deblur_solve(&p, y.data(), weight.data(), solved.data(), 1) == DEBLUR_OK;
    passed = passed && deblur_weight_grad(&p, y.data(), x.data(), gradient.data(), 1) == DEBLUR_OK;
    const std::vector<double> expected = defined(p, weight, x);
    for (std::size_t k = 0; k < pixels; ++k) passed = passed && std::abs(y[k] - expected[k]) < 1e-4;
    for (std::size_t k = 0; k < pixels; ++k) passed = passed && std::abs(solved[k] - x[k]) < 1e-4;

    std::vector<T> direction(weight.size());  // <gradient, direction> is the slope of <y, A x> in it
    for (T& tap : direction) tap = T(uniform(generator));
    const std::vector<double> derivative = defined(p, direction, x);
    double expected_slope = 0, size = 0, slope = 0;
    for (std::size_t k = 0; k < pixels; ++k)
        expected_slope += double(y[k]) * derivative[k], size += std::abs(double(y[k]) * derivative[k]);
    for (std::size_t k = 0; k < direction.size(); ++k) slope += double(gradient[k]) * double(direction[k]);
    passed = passed && std::abs(slope - expected_slope) < 1e-4 * size;
    for (int threads : {2, 3, 7}) {
        deblur_solve(&p, y.data(), weight.data(), repeated.data(), threads);
        passed = passed && std::memcmp(repeated.data(), solved.data(), pixels * sizeof(T)) == 0;
        deblur_weight_grad(&p, y.data(), x.data(), gradient_repeated.data(), threads);
        passed = passed && std::memcmp(gradient_repeated.data(), gradient.data(), gradient.size() * sizeof(T)) == 0;
    }
    return passed;
}

}  // namespace

int main() {
    const std::int64_t sizes[][9] = {
        // batch, channels, height, width, groups, taps_h, taps_w, dilation_h, dilation_w
        {1, 1, 700, 300, 1, 9, 9, 1, 1}, {1, 1, 520, 37, 1, 31, 15, 1, 1}, {2, 2, 300, 40, 2, 3, 40, 1, 1},
        {1, 1, 90, 33, 1, 5, 3, 2, 3},   {1, 4, 330, 30, 2, 3, 3, 1, 1},   {17, 6, 20, 18, 2, 2, 3, 1, 2},
        {1, 1, 1, 1, 1, 3, 3, 1, 1},     {5, 13, 9, 3, 1, 20, 2, 1, 1},    {1, 3, 40, 1, 3, 2, 2, 50, 50},
    };
    int failures = 0, index = 0;
    for (const auto& s : sizes)
        for (int corner = 0; corner < 4; ++corner) {
            deblur_problem p = {s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], 0, corner, corner % 2, 0};
            if (!run<float>(p)) ++failures;
            p.border = (s[7] == 1 || s[7] < s[2]) && (s[8] == 1 || s[8] < s[3]) && (s[5] - 2) * s[7] < s[2] - 1 &&
                       (s[6] - 2) * s[8] < s[3] - 1;
            p.dtype = DEBLUR_FLOAT64;
            p.transpose = !p.transpose;
            if (!run<double>(p)) ++failures;
            ++index;
        }
    std::printf("%s: %d problems, %d failures\n", deblur_instruction_set(), 2 * index, failures);
    return failures != 0;
}

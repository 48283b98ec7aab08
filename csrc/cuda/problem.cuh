// The one canonical problem behind corners, transposes, groups and dilations.
//
//     y[o, p] = sum over i, a >= 0, b >= 0 of  w[o, i, a, b] x[i, p - (a, b)]          x = 0 outside the image
//
// A tensor is read as if the corner its taps look toward were the top-left one: `origin` is the element at that corner,
// the steps are signed. The adjoint looks toward the opposite corner with output and input channels of the weight
// exchanged: the host exchanges weight_out and weight_in.
//
// A dilation (dh, dw) lets a pixel talk only to those whose row differs by a multiple of dh and whose column by one of
// dw. So a frame is dh * dw independent *images*, each without dilation and dh * dw times smaller; with batch and groups
// they are all the images of a call, and no kernel knows of dilation.
#pragma once

#include "dev.cuh"

// Mirrored field by field in deblur/ops/_cuda/plan.py.
struct Problem {
    const Scalar* y;  // in a weight gradient: the gradient that arrives
    Scalar* x;
    const Scalar* weight;
    Scalar* inverse;   // of the anchors; see fold.cuh
    Scalar* folded;    // the other taps, anchor folded in; see fold.cuh
    Scalar* ring;      // of the wavefront kernel where it does not fit in shared memory
    Scalar* partial;   // sums of a weight gradient over a part of the pixels; see gradient.cuh
    Scalar* gradient;  // of the weight
    int* flags;        // the ticket, then the progress of every band; zero before the launch

    long long origin, frame_step, channel_step, row_step, column_step;         // of y and x, in elements
    long long weight_group, weight_out, weight_in, weight_row, weight_column;  // of the weight, in elements
    int batch, groups, channels, height, width;                                // channels of one group
    int taps_h, taps_w, dilation_h, dilation_w;                                // no tap is out of reach
    int bands, images;                                                         // bands of the tallest image
    int padded;  // channels, rounded up to whole quads (wavefront kernel)
    int parts;   // that the pixels of a group (weight gradient) or a sum (wavefront kernel) are cut into
};
static_assert(sizeof(Problem) == 208, "deblur/ops/_cuda/plan.py mirrors this layout");

// One of the independent images of a call.
struct Image {
    long long first;        // its pixel at the corner, channel 0 of its group
    long long row, column;  // steps
    int group, height, width;
};

DEBLUR_DEVICE Image image_of(const Problem& p, int index) {
    const int b = index % p.dilation_w, a = index / p.dilation_w % p.dilation_h;
    const int group = index / (p.dilation_w * p.dilation_h) % p.groups;
    const int frame = index / (p.dilation_w * p.dilation_h * p.groups);
    Image image;
    image.first = p.origin + frame * p.frame_step + (long long)group * p.channels * p.channel_step + a * p.row_step +
                  b * p.column_step;
    image.row = p.row_step * p.dilation_h;
    image.column = p.column_step * p.dilation_w;
    image.group = group;
    image.height = divide_up(p.height - a, p.dilation_h);
    image.width = divide_up(p.width - b, p.dilation_w);
    return image;
}

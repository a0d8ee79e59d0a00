/* What libjpeg says of a body with its warnings as errors; the judge of the judge.
 *
 * Not counted are warnings of what stands before the codes: versions of JFIF, Adobe's transforms,
 * and stray bytes before the first scan. Missing coefficients, which libjpeg does not warn of, are.
 */

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "fuzz.h"

enum { MOST_PIXELS = 300000 };

struct handler {
    struct jpeg_error_mgr fields;
    jmp_buf back;
    int in_header;
};

static void give_up(j_common_ptr info) { longjmp(((struct handler *)info->err)->back, 1); }

static void on_message(j_common_ptr info, int level) {
    struct handler *handler = (struct handler *)info->err;
    int code = handler->fields.msg_code;
    if (level >= 0 || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM)
        return;
    if (code != JWRN_EXTRANEOUS_DATA || !handler->in_header)
        longjmp(handler->back, 1);
}

/* Read all scans; returns whether each component had one. */
static int read_scans(j_decompress_ptr info) {
    unsigned seen = 0;
    int status = JPEG_REACHED_SOS;
    do {
        if (status == JPEG_REACHED_SOS)
            for (int i = 0; i < info->comps_in_scan; i++)
                seen |= 1u << info->cur_comp_info[i]->component_index;
        status = jpeg_consume_input(info);
    } while (status != JPEG_REACHED_EOI);
    return seen == (1u << info->num_components) - 1;
}

static int all_bits_came(j_decompress_ptr info) {
    for (int i = 0; info->coef_bits && i < info->num_components; i++)
        for (int k = 0; k < DCTSIZE2; k++)
            if (info->coef_bits[i][k])
                return 0;
    return 1;
}

static int decode(j_decompress_ptr info, struct handler *handler) {
    jpeg_read_header(info, TRUE);
    handler->in_header = 0;
    if ((uint64_t)info->image_width * info->image_height > MOST_PIXELS)
        return -1;
    info->buffered_image = TRUE;
    info->do_block_smoothing = FALSE;
    jpeg_start_decompress(info);
    if (!read_scans(info) || !all_bits_came(info))
        return 0;
    jpeg_start_output(info, info->input_scan_number);
    JSAMPARRAY row = info->mem->alloc_sarray((j_common_ptr)info, JPOOL_IMAGE,
                                             info->output_width * info->output_components, 1);
    while (info->output_scanline < info->output_height)
        jpeg_read_scanlines(info, row, 1);
    jpeg_finish_output(info);
    return jpeg_finish_decompress(info);
}

int libjpeg_calls_whole(const uint8_t *body, size_t size) {
    struct jpeg_decompress_struct info;
    struct handler handler = {.in_header = 1};
    volatile int whole = 0;
    info.err = jpeg_std_error(&handler.fields);
    handler.fields.error_exit = give_up;
    handler.fields.emit_message = on_message;
    jpeg_create_decompress(&info);
    if (!setjmp(handler.back)) {
        jpeg_mem_src(&info, body, size);
        whole = decode(&info, &handler);
    }
    jpeg_destroy_decompress(&info);
    return whole;
}

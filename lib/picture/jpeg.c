/* Checks the marker segments of a JPEG before its decoder sees them; nothing is decoded here.
 *
 * Two reasons. A JPEG that ends early or lacks a scan decodes to a picture with a grey rest, so the
 * end has to be looked for. And stb_image 2.27 (Debian 12) writes past its tables when a Huffman
 * table declares more than 256 symbols. */
#include "picture.h"

enum {
    MARKER_SOF0 = 0xC0,
    MARKER_SOF2 = 0xC2,
    MARKER_DHT = 0xC4,
    MARKER_JPG = 0xC8,
    MARKER_DAC = 0xCC,
    MARKER_SOF15 = 0xCF,
    MARKER_RST0 = 0xD0,
    MARKER_RST7 = 0xD7,
    MARKER_SOI = 0xD8,
    MARKER_EOI = 0xD9,
    MARKER_SOS = 0xDA,
    HUFFMAN_SYMBOLS = 256
};

typedef struct segments {
    const uint8_t *at;
    const uint8_t *end;
    bool progressive;
    int components; /* 0: no frame header yet */
    uint8_t id[4];
    bool
        scanned[4]; /* a scan (progressive: the first with the DC coefficients) holds component i */
} segments;

/* The next marker from the current position on, 0 when there is none. In entropy-coded data,
 * stuffed zeros and restart markers are no markers. */
static uint8_t next_marker(segments *s, bool in_scan)
{
    while (s->end - s->at >= 2) {
        uint8_t code = s->at[1];

        if (s->at[0] != 0xFF || code == 0xFF)
            s->at++;
        else if (in_scan && (code == 0 || (code >= MARKER_RST0 && code <= MARKER_RST7)))
            s->at += 2;
        else {
            s->at += 2;
            return code;
        }
    }
    return 0;
}

static const char *check_huffman(const uint8_t *at, size_t size)
{
    while (size > 0) {
        size_t symbols = 0;

        if (size < 17)
            return "a Huffman table is incomplete";
        for (int bits = 1; bits <= 16; bits++)
            symbols += at[bits];
        if (symbols > HUFFMAN_SYMBOLS)
            return "a Huffman table has more than 256 symbols";
        if (size < 17 + symbols)
            return "a Huffman table is incomplete";
        at += 17 + symbols;
        size -= 17 + symbols;
    }
    return NULL;
}

static const char *check_frame(segments *s, uint8_t marker, const uint8_t *at, size_t size)
{
    if (marker > MARKER_SOF2)
        return "lossless, hierarchical and arithmetic-coded JPEGs are not read; save it as a "
               "baseline or progressive JPEG";
    if (s->components)
        return "it has two frame headers";
    if (size < 6 || size != 6 + 3 * (size_t)at[5])
        return "its frame header has the wrong size";
    if (at[0] != 8)
        return "only 8 bits per channel are read from a JPEG";
    if (at[5] != 1 && at[5] != 3 && at[5] != 4)
        return "it has neither 1, 3 nor 4 colour components";
    s->progressive = marker == MARKER_SOF2;
    s->components = at[5];
    for (int i = 0; i < s->components; i++)
        s->id[i] = at[6 + 3 * i];
    return NULL;
}

static const char *check_scan(segments *s, const uint8_t *at, size_t size)
{
    int count = size > 0 ? at[0] : 0;

    if (!s->components)
        return "a scan comes before the frame header";
    if (count < 1 || count > s->components || size != 4 + 2 * (size_t)count)
        return "a scan header is broken";
    bool first = !s->progressive || (at[1 + 2 * count] == 0 && at[3 + 2 * count] >> 4 == 0);

    for (int i = 0; i < count; i++)
        for (int c = 0; c < s->components; c++)
            s->scanned[c] = s->scanned[c] || (first && at[1 + 2 * i] == s->id[c]);
    return NULL;
}

static const char *check_segment(segments *s, uint8_t marker, const uint8_t *at, size_t size)
{
    if (marker == MARKER_DHT)
        return check_huffman(at, size);
    if (marker == MARKER_SOS)
        return check_scan(s, at, size);
    if (marker >= MARKER_SOF0 && marker <= MARKER_SOF15 && marker != MARKER_JPG &&
        marker != MARKER_DAC)
        return check_frame(s, marker, at, size);
    return NULL;
}

const char *jpeg_check(const uint8_t *bytes, size_t size, bool *cut)
{
    segments s = {.at = bytes, .end = bytes + size};
    uint8_t marker = next_marker(&s, false);
    const char *reason = NULL;

    *cut = false;
    if (marker != MARKER_SOI)
        return "it does not start as a JPEG";
    marker = next_marker(&s, false);
    while (marker != MARKER_EOI && !reason) {
        size_t left = (size_t)(s.end - s.at);
        size_t length = left >= 2 ? (size_t)s.at[0] << 8 | s.at[1] : 0;

        if (marker == 0 || left < 2 || length > left) {
            *cut = true;
            return "the file ends before the picture does";
        }
        if (length < 2)
            return "a segment has no length";
        reason = check_segment(&s, marker, s.at + 2, length - 2);
        s.at += length;
        marker = next_marker(&s, marker == MARKER_SOS);
    }
    if (!reason && !s.components)
        return "it holds no picture";
    for (int i = 0; i < s.components && !reason; i++)
        if (!s.scanned[i])
            reason = "the data of a colour component are missing";
    return reason;
}

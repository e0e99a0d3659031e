/* Streams in one epoll loop, over SSE, MQTT or MQTT over WebSocket: what arrives is counted by the numbers in it.
 *
 * A reading is found by its text: {"device":"d7",...{"n":12,"t":345,...}...}. What has no such numbers (the gateway's
 * `latest`, `hello`, heartbeats) is passed over. A server may cut chunks only between lines, which all of them do.
 */
#include "load.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define REST_BYTES 4096
#define READ_BYTES (1 << 18)

/* The newest number of one device, and which of the 64 up to it have come: as in the replay window of RFC 4303. */
struct seen { uint64_t newest, mask; };

struct stream {
    int fd, device, step, is_open, is_stalled;
    uint64_t asked_us, first_us, readings, unique;
    struct seen *seen;
    int rest_bytes;
    char rest[REST_BYTES];
};

struct counts counts;
struct histogram latency, first_reading, last_reading;
static struct stream *streams;
static int poller = -1, opened, open_now, done;
static uint64_t read_at;

static void number_came(struct stream *s, struct seen *seen, uint64_t n)
{
    if (n > seen->newest) {
        uint64_t ahead = n - seen->newest;
        if (seen->newest || !opt.until) counts.lost += ahead - 1;
        seen->mask = ahead > 63 ? 1 : seen->mask << ahead | 1;
        seen->newest = n;
    } else if (seen->newest - n > 63 || seen->mask >> (seen->newest - n) & 1) {
        counts.repeated++;
        return;
    } else {
        seen->mask |= 1ull << (seen->newest - n);
        counts.disordered++, counts.lost--;
    }
    s->unique++;
}

static uint64_t number(const char **p, const char *end)
{
    uint64_t value = 0;
    while (*p < end && **p >= '0' && **p <= '9') value = value * 10 + (uint64_t)(*(*p)++ - '0');
    return value;
}

static void take(struct stream *s, const char *p, const char *end)
{
    static const char before_device[] = "{\"device\":\"d";
    const char *values = end - p > 40 ? memchr(p + 1, '{', (size_t)(end - p - 1)) : NULL;
    if (!values || memcmp(p, before_device, sizeof before_device - 1) || memcmp(values, "{\"n\":", 5)) return;
    const char *at = values + 5, *device = p + sizeof before_device - 1;
    uint64_t n = number(&at, end), who = number(&device, end);
    if (!n) return; /* an object: a `latest` block */
    if (at + 5 > end || memcmp(at, ",\"t\":", 5) || who >= (uint64_t)opt.devices) {
        counts.unreadable++;
        return;
    }
    at += 5;
    uint64_t sent_us = number(&at, end);
    number_came(s, &s->seen[opt.all_devices ? who : 0], n);
    counts.delivered++;
    histogram_add(&latency, read_at > sent_us ? read_at - sent_us : 0);
    if (!s->readings++) s->first_us = read_at;
}

static const char *take_lines(struct stream *s, const char *p, const char *end)
{
    for (const char *line_end; (line_end = memchr(p, '\n', (size_t)(end - p))); p = line_end + 1)
        if (line_end - p > 6 && !memcmp(p, "data: ", 6)) take(s, p + 6, line_end);
    return p;
}

/* MQTT packets; over a WebSocket each in a frame of its own, as mosquitto sends them. */
static const char *take_packets(struct stream *s, const char *p, const char *end)
{
    for (;;) {
        const unsigned char *u = (const unsigned char *)p;
        size_t skip = 0, left = (size_t)(end - p);
        if (opt.reading == OVER_WEBSOCKET) {
            if (left < 4) return p;
            skip = (u[1] & 127) == 126 ? 4 : 2;
        }
        size_t header = skip + 1, length = 0, shift = 0;
        while (header < left && u[header] & 128) length |= (size_t)(u[header++] & 127) << shift, shift += 7;
        if (header >= left) return p;
        length |= (size_t)u[header++] << shift;
        if (header + length > left) return p;
        if (u[skip] >> 4 == 3) {
            const char *packet = p + header;
            size_t topic = (size_t)(u[header] << 8 | u[header + 1]);
            take(s, packet + 2 + topic + (u[skip] & 6 ? 2 : 0), packet + length);
        }
        if (u[skip] >> 4 == 9 && !s->is_open) s->is_open = 1, open_now++;
        p += header + length;
    }
}

static void say(struct stream *s, const char *bytes, int length)
{
    if (send(s->fd, bytes, (size_t)length, MSG_NOSIGNAL) != length) counts.refused++;
}

static void say_packet(struct stream *s, const char *packet, int length)
{
    char frame[160] = {(char)0x82, (char)(0x80 | length), 0, 0, 0, 0}; /* masked, as a client must, with zeros */
    if (opt.reading == OVER_MQTT) {
        say(s, packet, length);
        return;
    }
    memcpy(frame + 6, packet, (size_t)length);
    say(s, frame, length + 6);
}

static void connect_mqtt(struct stream *s)
{
    char packet[128], name[32];
    int named = sprintf(name, "stream-%d", (int)(s - streams)), n = 14;
    memcpy(packet, "\x10\0\0\4MQTT\4\2\0\0\0", 13);
    packet[13] = (char)named;
    memcpy(packet + n, name, (size_t)named);
    packet[1] = (char)(12 + named);
    say_packet(s, packet, n + named);
    char topic[32];
    named = opt.all_devices ? sprintf(topic, "sensors/#") : sprintf(topic, "sensors/d%d", s->device);
    n = sprintf(packet, "%c%c", 0x82, 5 + named);
    memcpy(packet + n, "\0\1\0", 3);
    packet[n + 3] = (char)named;
    memcpy(packet + n + 4, topic, (size_t)named);
    packet[n + 4 + named] = 0; /* QoS 0 to the reader, as SSE has no acknowledgement either */
    say_packet(s, packet, n + 5 + named);
}

static void ask(struct stream *s)
{
    char request[1024], path[512];
    const char *from = opt.path;
    int n = 0;
    s->asked_us = now_us();
    if (opt.reading == OVER_MQTT) {
        connect_mqtt(s);
        return;
    }
    for (; *from && n < 400; from++) {
        if (*from != '%') path[n++] = *from;
        else if (*++from == 'p') n += sprintf(path + n, "%llu", (unsigned long long)(opt.first_position + (uint64_t)(s - streams) * opt.position_step));
        else n += sprintf(path + n, "%d", s->device);
    }
    path[n] = 0;
    const char *extra = opt.reading == OVER_WEBSOCKET ? "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n"
                                                      : "Accept: text/event-stream\r\n";
    n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s%s%s\r\n", path, opt.port, extra, opt.header, *opt.header ? "\r\n" : "");
    say(s, request, n);
}

static void leave(struct stream *s)
{
    close(s->fd);
    s->fd = -1;
    if (!s->is_open) s->is_open = 1, open_now++;
}

/* The HTTP header: a stream counts as open with the first byte behind it, or with the header where none comes. */
static const char *take_header(struct stream *s, const char *p, const char *end)
{
    const char *body = memmem(p, (size_t)(end - p), "\r\n\r\n", 4);
    if (!body) return p;
    s->step = 2;
    if (opt.reading == OVER_WEBSOCKET) {
        connect_mqtt(s);
    } else {
        if (memcmp(p, "HTTP/1.1 200", 12)) counts.refused++;
        s->is_open = 1, open_now++;
    }
    return body + 4;
}

static void take_bytes(struct stream *s, const char *p, const char *end)
{
    if (s->step == 1 && opt.reading != OVER_MQTT) p = take_header(s, p, end);
    if (s->step == 2 || opt.reading == OVER_MQTT) p = opt.reading == OVER_SSE ? take_lines(s, p, end) : take_packets(s, p, end);
    s->rest_bytes = (int)(end - p);
    if (s->rest_bytes > REST_BYTES) {
        counts.unreadable++;
        s->rest_bytes = 0;
    }
    memcpy(s->rest, p, (size_t)s->rest_bytes);
    if (opt.until && s->readings >= (uint64_t)opt.until) {
        histogram_add(&first_reading, s->first_us - s->asked_us);
        histogram_add(&last_reading, read_at - s->asked_us);
        done++;
        leave(s);
    }
}

static void readable(struct stream *s)
{
    static char bytes[REST_BYTES + READ_BYTES];
    memcpy(bytes, s->rest, (size_t)s->rest_bytes);
    ssize_t got = recv(s->fd, bytes + s->rest_bytes, READ_BYTES, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    read_at = now_us();
    if (got <= 0) {
        counts.ended++;
        leave(s);
        return;
    }
    counts.bytes += (uint64_t)got, counts.reads++;
    take_bytes(s, bytes, bytes + s->rest_bytes + got);
}

void streams_read(int timeout_ms)
{
    static struct epoll_event events[1024];
    int n = epoll_wait(poller, events, 1024, timeout_ms);
    for (int i = 0; i < n; i++) {
        struct stream *s = &streams[events[i].data.u32];
        if (s->fd < 0) continue;
        if (!s->step && events[i].events & EPOLLOUT) {
            struct epoll_event only_in = {.events = EPOLLIN, .data.u32 = events[i].data.u32};
            epoll_ctl(poller, EPOLL_CTL_MOD, s->fd, &only_in);
            s->step = 1;
            ask(s);
        } else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
            readable(s);
        }
    }
}

static void open_one(void)
{
    struct stream *s = &streams[opened];
    struct epoll_event both = {.events = EPOLLIN | EPOLLOUT, .data.u32 = (uint32_t)opened};
    s->device = opened++ % opt.devices;
    s->seen = calloc(opt.all_devices ? (size_t)opt.devices : 1, sizeof *s->seen);
    s->fd = connect_to(opt.port, SOCK_NONBLOCK);
    epoll_ctl(poller, EPOLL_CTL_ADD, s->fd, &both);
}

void streams_open(void)
{
    uint64_t began = now_us();
    poller = epoll_create1(0);
    streams = calloc((size_t)opt.streams + 1, sizeof *streams);
    while (opt.until ? done + (int)counts.ended < opt.streams : open_now < opt.streams) {
        while (opened < opt.streams && opened - (opt.until ? done : open_now) < opt.at_once) open_one();
        streams_read(10);
        if (now_us() - began > 120e6) {
            fprintf(stderr, "only %d of %d streams came\n", opt.until ? done : open_now, opt.streams);
            return;
        }
    }
}

void streams_stall(void)
{
    for (int i = 0; i < opt.stalled && i < opt.streams; i++) {
        epoll_ctl(poller, EPOLL_CTL_DEL, streams[i].fd, NULL);
        streams[i].is_stalled = 1;
    }
}

int streams_done(void)
{
    return done;
}

uint64_t streams_missing(void)
{
    uint64_t missing = 0;
    for (int i = 0; i < opt.streams; i++) {
        if (streams[i].is_stalled) continue;
        uint64_t due = opt.all_devices ? published.count : published.of_device[streams[i].device];
        missing += due > streams[i].unique ? due - streams[i].unique : 0;
    }
    return missing;
}

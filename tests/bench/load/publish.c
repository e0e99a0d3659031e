/* One thread that publishes at a steady rate, to devices in turn: MQTT, HTTP POST for Nchan, lines, or as a broker itself.
 *
 * The numbers in a payload, n and t, are what streams count by: n rises by one for each device, t is the time in µs.
 */
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH_BYTES 65536
#define MAX_PACKET 512

struct published published;
static int fd = -1;
static uint64_t in_flight; /* asked for, not answered yet */
static uint16_t packet_id;
static volatile int going;

static void write_all(const char *bytes, size_t length)
{
    while (length && !published.stop) {
        ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            perror("publishing");
            published.stop = 1;
            return;
        }
        bytes += n;
        length -= (size_t)n;
    }
}

static int payload(char *out, int device)
{
    uint64_t n = ++published.of_device[device];
    char values[128];
    sprintf(values, "{\"n\":%llu,\"t\":%llu,\"temperature\":%d.%02d,\"humidity\":%d.5}", (unsigned long long)n,
            (unsigned long long)now_us(), 20 + (int)(n % 10), 11 + (int)(n % 88), 40 + (int)(n % 50));
    if (!opt.whole) return sprintf(out, "%s", values);
    struct timespec t;
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    return sprintf(out, "{\"device\":\"d%d\",\"at\":%lld,\"values\":%s}", device, (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000, values);
}

static int mqtt_publish(char *out, int device)
{
    char body[256], topic[32];
    int size = payload(body, device), named = sprintf(topic, "sensors/d%d", device), n = 0;
    int left = 2 + named + (opt.qos ? 2 : 0) + size;
    out[n++] = (char)(0x30 | opt.qos << 1);
    do out[n++] = (char)((left & 127) | (left > 127 ? 128 : 0));
    while (left >>= 7);
    out[n++] = 0;
    out[n++] = (char)named;
    memcpy(out + n, topic, (size_t)named), n += named;
    if (opt.qos) {
        if (!++packet_id) packet_id = 1;
        out[n++] = (char)(packet_id >> 8);
        out[n++] = (char)packet_id;
        in_flight++;
    }
    memcpy(out + n, body, (size_t)size);
    return n + size;
}

static int message(char *out, int device)
{
    char body[256];
    if (opt.publishing == OVER_MQTT_PUBLISH || opt.publishing == OVER_FEED) return mqtt_publish(out, device);
    int size = payload(body, device);
    if (opt.publishing == OVER_LINES) return sprintf(out, "d%d %s\n", device, body);
    in_flight++;
    return sprintf(out, "POST /publish/d%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", device, size, body);
}

/* Answers in MQTT: PUBACK is counted, and as a broker CONNECT, SUBSCRIBE and PINGREQ are answered. */
static void take_packet(const unsigned char *p, int header, int length)
{
    char answer[64] = {0};
    int kind = p[0] >> 4, filters = 0;
    if (kind == 4) {
        in_flight--;
        published.acknowledged++;
    } else if (kind == 1) {
        write_all("\x20\x02\x00\x00", 4);
    } else if (kind == 12) {
        write_all("\xd0\x00", 2);
    } else if (kind == 8) {
        for (int at = header + 2; at < header + length; filters++) {
            at += 2 + (p[at] << 8 | p[at + 1]);
            if (filters < 40) answer[4 + filters] = (char)p[at];
            at++;
        }
        answer[0] = (char)0x90, answer[1] = (char)(2 + filters), answer[2] = (char)p[header], answer[3] = (char)p[header + 1];
        write_all(answer, (size_t)(4 + filters));
        published.flowing = 1;
    }
}

static void take_mqtt(const unsigned char *bytes, ssize_t got)
{
    static unsigned char rest[1 << 17];
    static int held;
    memcpy(rest + held, bytes, (size_t)got);
    held += (int)got;
    int at = 0;
    for (;;) {
        int header = 1, length = 0, shift = 0;
        while (at + header < held && rest[at + header] & 128) length |= (rest[at + header++] & 127) << shift, shift += 7;
        if (at + header >= held) break;
        length |= rest[at + header++] << shift;
        if (at + header + length > held) break;
        take_packet(rest + at, header, length);
        at += header + length;
    }
    memmove(rest, rest + at, (size_t)(held -= at));
}

static void take_answers(int timeout_ms)
{
    static unsigned char bytes[65536];
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    while (poll(&waiting, 1, timeout_ms) > 0) {
        ssize_t got = recv(fd, bytes, sizeof bytes - 1, MSG_DONTWAIT);
        if (got <= 0) {
            if (!published.stop) fprintf(stderr, "the publisher's connection was closed\n");
            published.stop = 1;
            return;
        }
        if (opt.publishing != OVER_NCHAN) {
            take_mqtt(bytes, got);
        } else {
            bytes[got] = 0;
            for (char *p = (char *)bytes; (p = memmem(p, (size_t)((char *)bytes + got - p), "HTTP/1.1 ", 9)); p += 9) in_flight--;
        }
        timeout_ms = 0;
    }
}

static int must_wait(void)
{
    return opt.publishing != OVER_LINES && in_flight >= (uint64_t)opt.window;
}

static void publish(uint64_t messages)
{
    static char batch[BATCH_BYTES + MAX_PACKET];
    static int device;
    size_t size = 0;
    while (messages && !published.stop) {
        while (!must_wait() && messages && size < BATCH_BYTES) {
            size += (size_t)message(batch + size, device);
            device = (device + 1) % opt.devices;
            published.count++, messages--;
            if (opt.publishing == OVER_NCHAN) break; /* nginx reads pipelined requests one at a time: small writes are fair */
        }
        write_all(batch, size);
        size = 0;
        take_answers(must_wait() ? 20 : 0);
    }
}

static void *run(void *unused)
{
    (void)unused;
    while (!going || (opt.publishing == OVER_FEED && !published.flowing)) {
        if (opt.publishing == OVER_FEED) take_answers(1);
        else usleep(1000);
    }
    uint64_t began = now_us(), done = 0;
    while (!published.stop) {
        if (opt.messages && published.count >= opt.messages) {
            while (in_flight && !published.stop) take_answers(10);
            published.stop = 1;
            break;
        }
        if (opt.rate <= 0) {
            uint64_t left = opt.messages - published.count;
            publish(opt.messages && left < 1000 ? left : 1000);
            continue;
        }
        uint64_t now = now_us(), due = (uint64_t)((double)(now - began) * opt.rate / 1e6);
        if (due > done) {
            uint64_t late = now - began - (uint64_t)((double)(done + 1) / opt.rate * 1e6);
            if (late > published.late_us) published.late_us = late;
            publish(due - done);
            done = due;
        }
        uint64_t next = began + (uint64_t)((double)(done + 1) / opt.rate * 1e6);
        now = now_us();
        take_answers(0);
        if (next > now) usleep((useconds_t)(next - now > 10000 ? 10000 : next - now));
    }
    return NULL;
}

static void listen_as_broker(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.publish_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listening = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listening, (struct sockaddr *)&at, sizeof at) || listen(listening, 1)) die("listening as a broker");
    if ((fd = accept(listening, NULL, NULL)) < 0) die("accept");
    close(listening);
}

void publish_begin(void)
{
    static pthread_t thread;
    published.of_device = calloc((size_t)opt.devices, sizeof(uint64_t));
    if (opt.publishing == OVER_NOTHING) return;
    if (opt.publishing == OVER_FEED) {
        listen_as_broker();
    } else {
        fd = connect_to(opt.publish_port, 0);
        if (opt.publishing == OVER_MQTT_PUBLISH) {
            char answer[4];
            write_all("\x10\x11\0\4MQTT\4\2\0\0\0\5bench", 19);
            if (recv(fd, answer, 4, MSG_WAITALL) != 4 || answer[3]) die("the broker refused the publisher");
        }
    }
    pthread_create(&thread, NULL, run, NULL);
}

void publish_go(void)
{
    going = 1;
}

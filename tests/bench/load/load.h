/* The load generator's parts: options, measuring, one publisher thread, and streams in one epoll loop. */
#ifndef LOAD_H
#define LOAD_H
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum reading_over { OVER_SSE, OVER_MQTT, OVER_WEBSOCKET };
enum publishing_over { OVER_NOTHING, OVER_MQTT_PUBLISH, OVER_NCHAN, OVER_LINES, OVER_FEED };

struct options {
    int port, publish_port;
    int streams, devices, all_devices; /* all_devices: each stream gets every device, else device number i mod devices */
    int stalled;                       /* so many streams stop reading once they are open */
    int at_once;                       /* streams that may be opening at the same time */
    enum reading_over reading;
    enum publishing_over publishing;
    int qos, window;      /* of the publisher; window: messages in flight at QoS 1 */
    int whole;            /* publish the reading as the gateway would deliver it: for peers, which change nothing */
    int until;            /* replay: a stream is done after so many readings */
    uint64_t messages;    /* fill: stop after so many are published and answered; 0: publish to the end */
    double rate;          /* readings a second in all; 0: as many as the window lets through */
    double warm, seconds, drain;
    int rounds;           /* measured one after the other, a line each */
    uint64_t first_position, position_step; /* what %p in the path is for the first stream, and how it grows */
    const char *path, *header;
    int server, broker;   /* pids whose processor time is measured, with their children's */
};
extern struct options opt;

/* measure.c */
struct histogram { uint64_t count, max, slots[64 * 32]; };
uint64_t now_us(void);
void histogram_add(struct histogram *, uint64_t value);
uint64_t histogram_quantile(const struct histogram *, double share);
uint64_t cpu_us(int pid);  /* of all its threads, and its children's */
uint64_t own_cpu_us(void);
long rss_kb(int pid);
void die(const char *what);
int connect_to(int port, int flags);

/* publish.c */
struct published { volatile uint64_t count, acknowledged, late_us, *of_device; volatile int stop, flowing; };
extern struct published published;
void publish_begin(void); /* connects; the thread waits for `publish_go` */
void publish_go(void);

/* streams.c */
struct counts { uint64_t delivered, bytes, reads, lost, repeated, disordered, ended, refused, unreadable; };
extern struct counts counts;
extern struct histogram latency, first_reading, last_reading;
void streams_open(void);          /* returns when all are open, or done where `until` is given */
void streams_read(int timeout_ms);
void streams_stall(void);
int streams_done(void);
uint64_t streams_missing(void);   /* readings published since the beginning that a stream that reads has not got */
#endif

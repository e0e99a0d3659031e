/* The floor: what a fan-out costs when nothing but the sockets is left. No log, no replay, no limits.
 *
 * Lines `d7 {json}` come in on one port, SSE goes out on the other. Each device has a ring of finished chunks and each
 * reader a place in it; after what one wake brought in, every reader of a touched device gets one write.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEVICES 10000
#define FILES 20000
#define RING_BYTES (4u << 20)
#define FEED_BYTES (1 << 20)

struct device { char *ring; uint64_t end, number; int *readers, count, room, is_touched; };
static struct device devices[DEVICES];
static struct { int device; uint64_t at; } readers[FILES]; /* device -1: has not asked yet */
static int poller, touched[DEVICES], touched_count;

static int listen_on(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct epoll_event in = {.events = EPOLLIN, .data.fd = fd};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted sockets inherit it */
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 4096)) perror("listen"), exit(1);
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &in);
    return fd;
}

static void drop(int fd)
{
    struct device *d = readers[fd].device >= 0 ? &devices[readers[fd].device] : NULL;
    for (int i = 0; d && i < d->count; i++)
        if (d->readers[i] == fd) d->readers[i--] = d->readers[--d->count];
    readers[fd].device = -1;
    close(fd);
}

/* Edge-triggered EPOLLOUT calls again when there is room; a reader a whole ring behind is dropped. */
static void send_to(int fd)
{
    struct device *d = &devices[readers[fd].device];
    while (readers[fd].at < d->end) {
        uint64_t left = d->end - readers[fd].at, place = readers[fd].at % RING_BYTES;
        ssize_t sent = left > RING_BYTES ? -1 : send(fd, d->ring + place, left < RING_BYTES - place ? left : RING_BYTES - place, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && left <= RING_BYTES && errno == EAGAIN) return;
        if (sent < 0) {
            drop(fd);
            return;
        }
        readers[fd].at += (uint64_t)sent;
    }
}

static void put(struct device *d, const char *bytes, size_t length)
{
    size_t place = d->end % RING_BYTES, first = length < RING_BYTES - place ? length : RING_BYTES - place;
    memcpy(d->ring + place, bytes, first);
    memcpy(d->ring, bytes + first, length - first);
    d->end += length;
}

static void take_line(const char *line, const char *end)
{
    int which = atoi(line + 1), size, head;
    const char *json = memchr(line, ' ', (size_t)(end - line));
    char chunk[2100], frame[2048];
    if (which < 0 || which >= DEVICES || !json || end - json > 1900) return;
    struct device *d = &devices[which];
    if (!d->ring) d->ring = malloc(RING_BYTES);
    size = sprintf(frame, "id: %llu\ndata: %.*s\n\n", (unsigned long long)++d->number, (int)(end - json - 1), json + 1);
    head = sprintf(chunk, "%x\r\n", size);
    memcpy(chunk + head, frame, (size_t)size);
    memcpy(chunk + head + size, "\r\n", 2);
    put(d, chunk, (size_t)(head + size + 2));
    if (!d->is_touched) d->is_touched = 1, touched[touched_count++] = which;
}

static int take_feed(int fd)
{
    static char bytes[FEED_BYTES];
    static int held;
    ssize_t got = recv(fd, bytes + held, (size_t)(FEED_BYTES - held), 0);
    if (got <= 0) {
        held = 0;
        close(fd);
        return -1; /* the number may come again, for a reader */
    }
    char *p = bytes, *end = bytes + held + got;
    for (char *newline; (newline = memchr(p, '\n', (size_t)(end - p))); p = newline + 1) take_line(p, newline);
    memmove(bytes, p, (size_t)(held = (int)(end - p)));
    return fd;
}

static void take_request(int fd)
{
    static const char header[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    char request[4096];
    ssize_t got = recv(fd, request, sizeof request - 1, 0);
    if (got < 0 && errno == EAGAIN) return;
    request[got > 0 ? got : 0] = 0;
    const char *name = got > 0 ? strstr(request, "/events/d") : NULL;
    if (!name || send(fd, header, sizeof header - 1, MSG_NOSIGNAL) < 0) {
        drop(fd);
        return;
    }
    struct device *d = &devices[atoi(name + 9) % DEVICES];
    readers[fd].device = (int)(d - devices), readers[fd].at = d->end;
    if (d->count == d->room) d->readers = realloc(d->readers, sizeof(int) * (size_t)(d->room = d->room ? d->room * 2 : 64));
    d->readers[d->count++] = fd;
}

static void accept_all(int listening, int is_feed, int *feed)
{
    for (int fd; (fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct epoll_event in = {.events = is_feed ? EPOLLIN : EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = fd};
        if (fd >= FILES) exit(1);
        readers[fd].device = -1;
        if (is_feed) *feed = fd;
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &in);
    }
}

int main(int argc, char **argv)
{
    struct rlimit files = {FILES, FILES};
    struct epoll_event events[512];
    if (argc != 3) return 2;
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(0);
    int out = listen_on(atoi(argv[1])), in = listen_on(atoi(argv[2])), feed = -1;
    for (;;) {
        int n = epoll_wait(poller, events, 512, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == out || fd == in) accept_all(fd, fd == in, &feed);
            else if (fd == feed) feed = take_feed(fd);
            else if (events[i].events & EPOLLIN) take_request(fd);
            else if (readers[fd].device >= 0) send_to(fd);
        }
        for (int i = 0; i < touched_count; i++) {
            struct device *d = &devices[touched[i]];
            for (int r = d->count - 1; r >= 0; r--) send_to(d->readers[r]);
            d->is_touched = 0;
        }
        touched_count = 0;
    }
}

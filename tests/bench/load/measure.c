/* Clock, histogram, and what the kernel knows of a process. */
#include "load.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void die(const char *what)
{
    perror(what);
    exit(2);
}

uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* 32 slots for each power of two: within 3 % at any size. */
void histogram_add(struct histogram *h, uint64_t value)
{
    int power = value < 32 ? 0 : 63 - __builtin_clzll(value) - 4;
    h->slots[power * 32 + (int)((value >> power) & 31)]++;
    h->count++;
    if (value > h->max) h->max = value;
}

uint64_t histogram_quantile(const struct histogram *h, double share)
{
    uint64_t want = (uint64_t)(share * (double)h->count), seen = 0;
    for (int i = 0; i < 64 * 32; i++) {
        seen += h->slots[i];
        if (seen > want) return (uint64_t)(i % 32) << (i / 32);
    }
    return h->max;
}

/* schedstat counts in nanoseconds; /proc/<pid>/stat counts ticks of 10 ms, which is too coarse here. */
uint64_t cpu_us(int pid)
{
    char path[512];
    uint64_t sum_us = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks) return 0;
    for (struct dirent *task; (task = readdir(tasks));) {
        if (task->d_name[0] == '.') continue;
        unsigned long long ns = 0;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, task->d_name);
        FILE *f = fopen(path, "r");
        if (f && fscanf(f, "%llu", &ns) == 1) sum_us += ns / 1000;
        if (f) fclose(f);
        snprintf(path, sizeof path, "/proc/%d/task/%s/children", pid, task->d_name);
        if (!(f = fopen(path, "r"))) continue;
        for (int child; fscanf(f, "%d", &child) == 1;) sum_us += cpu_us(child);
        fclose(f);
    }
    closedir(tasks);
    return sum_us;
}

uint64_t own_cpu_us(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (uint64_t)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000 + (uint64_t)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

long rss_kb(int pid)
{
    char path[64];
    long size = 0, resident = 0, sum = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    FILE *f = fopen(path, "r");
    if (f && fscanf(f, "%ld %ld", &size, &resident) == 2) sum = resident * (sysconf(_SC_PAGESIZE) / 1024);
    if (f) fclose(f);
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    if ((f = fopen(path, "r"))) {
        for (int child; fscanf(f, "%d", &child) == 1;) sum += rss_kb(child);
        fclose(f);
    }
    return sum;
}

int connect_to(int port, int flags)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0), on = 1;
    if (fd < 0) die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) die("connect");
    return fd;
}

/* Load for a fan-out server: opens streams, publishes, and prints what came as lines of JSON.
 *
 * One line when the streams are open (or their replay is done), one for each measured round, one at the end.
 * Server and generator are to be on a core each; `generator_cpu` near 1 means that the generator was the limit.
 */
#include "load.h"
#include <getopt.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct options opt = {
    .streams = 1, .devices = 1, .at_once = 64, .qos = 1, .window = 1000, .rate = 100, .warm = 1, .seconds = 3,
    .drain = 3, .rounds = 1, .path = "/", .header = "",
};

static int one_of(const char *word, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (!strcmp(word, words[i])) return i;
    fprintf(stderr, "not known: %s\n", word);
    exit(2);
}

static void parse(int argc, char **argv)
{
    static const char *const reading[] = {"sse", "mqtt", "websocket", NULL};
    static const char *const publishing[] = {"nothing", "mqtt", "nchan", "lines", "feed", NULL};
    static const struct option names[] = {
        {"port", 1, 0, 'p'}, {"publish-port", 1, 0, 'q'}, {"streams", 1, 0, 'n'}, {"devices", 1, 0, 'd'},
        {"all-devices", 0, 0, 'a'}, {"stalled", 1, 0, 'x'}, {"at-once", 1, 0, 'o'}, {"reading", 1, 0, 'S'},
        {"publishing", 1, 0, 'M'}, {"qos", 1, 0, 'Q'}, {"window", 1, 0, 'W'}, {"whole", 0, 0, 'F'}, {"until", 1, 0, 'E'},
        {"rate", 1, 0, 'r'}, {"warm", 1, 0, 'w'}, {"seconds", 1, 0, 't'}, {"drain", 1, 0, 'D'}, {"rounds", 1, 0, 'i'},
        {"first-position", 1, 0, 'A'}, {"position-step", 1, 0, 'B'}, {"path", 1, 0, 'f'}, {"header", 1, 0, 'H'},
        {"server", 1, 0, 'P'}, {"broker", 1, 0, 'b'}, {"core", 1, 0, 'c'},
        {"messages", 1, 0, 'm'}, {0, 0, 0, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) switch (c) {
        case 'p': opt.port = atoi(optarg); break;
        case 'q': opt.publish_port = atoi(optarg); break;
        case 'n': opt.streams = atoi(optarg); break;
        case 'd': opt.devices = atoi(optarg); break;
        case 'a': opt.all_devices = 1; break;
        case 'x': opt.stalled = atoi(optarg); break;
        case 'o': opt.at_once = atoi(optarg); break;
        case 'S': opt.reading = (enum reading_over)one_of(optarg, reading); break;
        case 'M': opt.publishing = (enum publishing_over)one_of(optarg, publishing); break;
        case 'Q': opt.qos = atoi(optarg); break;
        case 'W': opt.window = atoi(optarg); break;
        case 'F': opt.whole = 1; break;
        case 'm': opt.messages = strtoull(optarg, NULL, 10); break;
        case 'E': opt.until = atoi(optarg); break;
        case 'r': opt.rate = atof(optarg); break;
        case 'w': opt.warm = atof(optarg); break;
        case 't': opt.seconds = atof(optarg); break;
        case 'D': opt.drain = atof(optarg); break;
        case 'i': opt.rounds = atoi(optarg); break;
        case 'A': opt.first_position = strtoull(optarg, NULL, 10); break;
        case 'B': opt.position_step = strtoull(optarg, NULL, 10); break;
        case 'f': opt.path = optarg; break;
        case 'H': opt.header = optarg; break;
        case 'P': opt.server = atoi(optarg); break;
        case 'b': opt.broker = atoi(optarg); break;
        case 'c': {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(atoi(optarg), &one);
            sched_setaffinity(0, sizeof one, &one);
            break;
        }
        default: exit(2);
        }
}

static void read_for(double seconds)
{
    uint64_t end = now_us() + (uint64_t)(seconds * 1e6);
    for (uint64_t now; (now = now_us()) < end;) streams_read(end - now < 10000 ? 1 : 10);
}

static void open_and_tell(void)
{
    long rss = opt.server ? rss_kb(opt.server) : 0;
    uint64_t cpu = cpu_us(opt.server), began = now_us();
    streams_open();
    uint64_t took = now_us() - began;
    if (!opt.until) read_for(0.3);
    uint64_t used = cpu_us(opt.server) - cpu;
    printf("{\"opened_us\":%llu,\"open_cpu_us\":%llu,\"rss_before_kb\":%ld,\"rss_open_kb\":%ld,\"done\":%d,\"delivered\":%llu,"
           "\"first_p50_us\":%llu,\"first_p99_us\":%llu,\"last_p50_us\":%llu,\"last_max_us\":%llu,\"refused\":%llu,\"lost\":%llu}\n",
           (unsigned long long)took, (unsigned long long)used, rss, opt.server ? rss_kb(opt.server) : 0, streams_done(),
           (unsigned long long)counts.delivered, (unsigned long long)histogram_quantile(&first_reading, 0.5),
           (unsigned long long)histogram_quantile(&first_reading, 0.99), (unsigned long long)histogram_quantile(&last_reading, 0.5),
           (unsigned long long)last_reading.max, (unsigned long long)counts.refused, (unsigned long long)counts.lost);
}

static void measure_and_tell(void)
{
    struct counts before = counts;
    uint64_t sent = published.count, acknowledged = published.acknowledged, server = cpu_us(opt.server), broker = cpu_us(opt.broker);
    uint64_t own = own_cpu_us(), began = now_us();
    memset(&latency, 0, sizeof latency);
    published.late_us = 0;
    read_for(opt.seconds);
    double took = (double)(now_us() - began);
    printf("{\"seconds\":%.3f,\"published\":%llu,\"acknowledged\":%llu,\"delivered\":%llu,\"bytes\":%llu,\"reads\":%llu,\"lost\":%lld,"
           "\"repeated\":%llu,\"disordered\":%llu,\"p50_us\":%llu,\"p99_us\":%llu,\"max_us\":%llu,\"server_cpu_us\":%llu,"
           "\"broker_cpu_us\":%llu,\"generator_cpu_us\":%llu,\"rss_kb\":%ld,\"late_us\":%llu,\"ended\":%llu}\n",
           took / 1e6, (unsigned long long)(published.count - sent), (unsigned long long)(published.acknowledged - acknowledged),
           (unsigned long long)(counts.delivered - before.delivered), (unsigned long long)(counts.bytes - before.bytes),
           (unsigned long long)(counts.reads - before.reads), (long long)(counts.lost - before.lost),
           (unsigned long long)(counts.repeated - before.repeated), (unsigned long long)(counts.disordered - before.disordered),
           (unsigned long long)histogram_quantile(&latency, 0.5), (unsigned long long)histogram_quantile(&latency, 0.99),
           (unsigned long long)latency.max, (unsigned long long)(cpu_us(opt.server) - server),
           (unsigned long long)(cpu_us(opt.broker) - broker), (unsigned long long)(own_cpu_us() - own),
           opt.server ? rss_kb(opt.server) : 0, (unsigned long long)published.late_us, (unsigned long long)counts.ended);
    fflush(stdout);
}

static void drain_and_tell(void)
{
    published.stop = 1;
    usleep(20000);
    uint64_t end = now_us() + (uint64_t)(opt.drain * 1e6);
    while (now_us() < end && streams_missing()) streams_read(10);
    printf("{\"published\":%llu,\"missing\":%llu,\"lost\":%llu,\"repeated\":%llu,\"disordered\":%llu,\"unreadable\":%llu,\"ended\":%llu,\"refused\":%llu}\n",
           (unsigned long long)published.count, (unsigned long long)streams_missing(), (unsigned long long)counts.lost,
           (unsigned long long)counts.repeated, (unsigned long long)counts.disordered, (unsigned long long)counts.unreadable,
           (unsigned long long)counts.ended, (unsigned long long)counts.refused);
}

int main(int argc, char **argv)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    parse(argc, argv);
    publish_begin();
    open_and_tell();
    fflush(stdout);
    if (opt.until) return 0;
    streams_stall();
    publish_go();
    while (opt.publishing == OVER_FEED && !published.flowing && !published.stop) usleep(1000);
    while (opt.messages && !published.stop) read_for(0.01);
    read_for(opt.warm);
    for (int i = 0; i < opt.rounds; i++) measure_and_tell();
    drain_and_tell();
    fflush(stdout);
    _exit(0);
}

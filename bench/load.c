/*
 * The load generator in C, for where gcc is: one thread, one epoll; the same command line and the same
 * line of JSON as load/load.ts, which says what the modes and options are.
 *
 * It talks to 127.0.0.0/8 only, unless --remote is given, and always ends: an alarm sees to it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000ull
#define MILLISECOND 1000000ull
#define READ_SIZE (512 * 1024)
/* Copies of a request and of a reply lie side by side, so that one send() and one memcmp() do for many. */
#define COPIES_SIZE (256 * 1024)
#define MAX_SECONDS 60
#define MAX_CONNECTIONS 60000

/* ---- the command line ---- */

static struct {
  const char *mode, *host, *path;
  long port, connections, size, depth, sources, pid;
  double seconds, warmup, opening;
  bool is_text, is_varying, is_remote;
} options = {.host = "127.0.0.1", .path = "/", .connections = 1, .size = 64, .depth = 1, .sources = 1, .seconds = 1, .warmup = 0.3, .opening = 10};

static void usage (const char *why) {
  fprintf(stderr, "load: %s\n", why);
  exit(2);
}

static void read_options (int count, char **words) {
  static const struct { const char *name; long *value; } numbers[] = {
    {"--port", &options.port}, {"--connections", &options.connections}, {"--size", &options.size},
    {"--depth", &options.depth}, {"--sources", &options.sources}, {"--pid", &options.pid}};
  if (count < 2) usage("no mode");
  options.mode = words[1];
  for (int i = 2; i < count; i++) {
    const char *name = words[i];
    if (!strcmp(name, "--text")) { options.is_text = true; continue; }
    if (!strcmp(name, "--varying")) { options.is_varying = true; continue; }
    if (!strcmp(name, "--remote")) { options.is_remote = true; continue; }
    if (++i == count) usage("an option without its value");
    bool is_known = true;
    if (!strcmp(name, "--host")) options.host = words[i];
    else if (!strcmp(name, "--path")) options.path = words[i];
    else if (!strcmp(name, "--seconds")) options.seconds = atof(words[i]);
    else if (!strcmp(name, "--warmup")) options.warmup = atof(words[i]);
    else if (!strcmp(name, "--opening")) options.opening = atof(words[i]);
    else {
      is_known = false;
      for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++) {
        if (!strcmp(name, numbers[n].name)) { *numbers[n].value = atol(words[i]); is_known = true; }
      }
    }
    if (!is_known) usage("unknown option");
  }
  if (options.port < 1 || options.port > 65535) usage("--port takes 1-65535");
  if (!(options.seconds > 0 && options.seconds <= MAX_SECONDS) || !(options.warmup >= 0 && options.warmup <= MAX_SECONDS)) usage("--seconds and --warmup take at most 60");
  if (!(options.opening > 0 && options.opening <= MAX_SECONDS)) usage("--opening takes at most 60");
  if (options.connections < 1 || options.connections > MAX_CONNECTIONS) usage("--connections takes 1-60000");
  if (options.size < 1 || options.size > 1048576 || options.depth < 1 || options.depth > 65536) usage("--size takes 1-1048576, --depth 1-65536");
  if (options.sources < 1 || options.sources > 250) usage("--sources takes 1-250");
}

/* ---- clocks, and what the server's process costs ---- */

static uint64_t now (void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t) t.tv_sec * SECOND + t.tv_nsec;
}

static double own_cpu_us (void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e6 + r.ru_utime.tv_usec + r.ru_stime.tv_usec;
}

struct cost { double cpu_us; long resident_kb; bool is_known; };

static struct cost server_cost (void) {
  struct cost cost = {0};
  char name[64], text[1024];
  snprintf(name, sizeof name, "/proc/%ld/stat", options.pid);
  int fd = options.pid ? open(name, O_RDONLY) : -1;
  if (fd < 0) return cost;
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return cost;
  text[n] = 0;
  unsigned long long user, system;
  long pages;
  char *after_name = strrchr(text, ')');
  if (!after_name || sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %*u %*u %ld", &user, &system, &pages) != 3) return cost;
  cost.cpu_us = (user + system) * 1e6 / sysconf(_SC_CLK_TCK);
  cost.resident_kb = pages * (sysconf(_SC_PAGESIZE) / 1024);
  cost.is_known = true;
  return cost;
}

/* ---- the histogram: 64 buckets to each doubling, so 1.6 % wide at most ---- */

#define BUCKETS (64 * 60)
static struct { uint64_t counts[BUCKETS], count, highest; } histogram;

static void record (uint64_t value) {
  int bucket = value;
  if (value >= 64) {
    int exponent = 63 - __builtin_clzll(value);
    bucket = (exponent - 5) * 64 + ((value >> (exponent - 6)) & 63);
  }
  histogram.counts[bucket]++;
  histogram.count++;
  if (value > histogram.highest) histogram.highest = value;
}

static double percentile (double share) {
  if (!histogram.count) return 0;
  uint64_t rank = histogram.count * share, seen = 0;
  if (rank >= histogram.count) rank = histogram.count - 1;
  for (int i = 0; i < BUCKETS; i++) {
    seen += histogram.counts[i];
    if (seen <= rank) continue;
    double width = i < 64 ? 1 : 1ull << (i / 64 - 1), low = i < 64 ? i : (64 + i % 64) * width;
    double value = low + (i < 64 ? 0 : width / 2);
    return value > histogram.highest ? histogram.highest : value;
  }
  return histogram.highest;
}

/* ---- what is counted ---- */

static uint64_t operations, bytes, lost, late;
static uint64_t connect_errors, wrong_errors, closed_errors, protocol_errors;
static bool is_measuring, is_draining;
static uint64_t began, ended;
static double own_before, own_after;
static struct cost cost_before, cost_after;
static char note[200];
static char hold_part[600] = "null";

static void count_error (uint64_t *kind, const char *what) {
  (*kind)++;
  if (!*note) snprintf(note, sizeof note, "%s", what);
}

static void begin (void) {
  memset(&histogram, 0, sizeof histogram);
  operations = bytes = 0;
  cost_before = server_cost();
  own_before = own_cpu_us();
  began = now();
  is_measuring = true;
}

static void finish (void) {
  ended = now();
  cost_after = server_cost();
  own_after = own_cpu_us();
  is_measuring = false;
}

static void count_operation (uint64_t size, uint64_t latency) {
  if (!is_measuring) return;
  operations++;
  bytes += size;
  record(latency);
}

static void print_result (void) {
  double seconds = (ended - began) / 1e9;
  char cpu[32] = "null", resident[32] = "null";
  if (cost_before.is_known && cost_after.is_known) {
    snprintf(cpu, sizeof cpu, "%.0f", cost_after.cpu_us - cost_before.cpu_us);
    snprintf(resident, sizeof resident, "%ld", cost_after.resident_kb);
  }
  printf("{\"mode\":\"%s\",\"seconds\":%.4f,\"operations\":%llu,\"bytes\":%llu,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,"
    "\"connectErrors\":%llu,\"wrongErrors\":%llu,\"closedErrors\":%llu,\"protocolErrors\":%llu,\"lost\":%llu,\"late\":%llu,"
    "\"serverCpuUs\":%s,\"residentKb\":%s,\"generatorCpu\":%.3f,\"note\":\"%s\",\"hold\":%s}\n",
    options.mode, seconds, (unsigned long long) operations, (unsigned long long) bytes,
    percentile(.5) / 1e3, percentile(.9) / 1e3, percentile(.99) / 1e3, percentile(.999) / 1e3, histogram.highest / 1e3,
    (unsigned long long) connect_errors, (unsigned long long) wrong_errors, (unsigned long long) closed_errors, (unsigned long long) protocol_errors,
    (unsigned long long) lost, (unsigned long long) late, cpu, resident, (own_after - own_before) / 1e6 / seconds, note, hold_part);
}

/* ---- what is sent, and what is to come back ---- */

enum kind { TCP, WEBSOCKET, HTTP };
static enum kind kind;
static uint8_t *payload;
static uint8_t *requests, *replies; /* copies, one after another */
static size_t request_size, reply_size, requests_size, replies_size;
/* HTTP: the last whole answer; as long as answers are the same, they need no parsing. */
static uint8_t *answer;
static size_t answer_size, body_offset;

static size_t write_frame_header (uint8_t *to, size_t size, bool is_masked) {
  size_t n = 2;
  to[0] = 0x80 | (options.is_text ? 1 : 2);
  if (size < 126) to[1] = size;
  else if (size < 65536) { to[1] = 126; to[2] = size >> 8; to[3] = size; n = 4; }
  else { to[1] = 127; for (int i = 0; i < 8; i++) to[2 + i] = (uint64_t) size >> (56 - 8 * i); n = 10; }
  if (is_masked) { to[1] |= 0x80; memcpy(to + n, "\x37\xfa\x21\x3d", 4); n += 4; }
  return n;
}

static uint8_t *copies_of (const uint8_t *one, size_t size, size_t *total) {
  size_t count = COPIES_SIZE / size + 2;
  uint8_t *all = malloc(count * size);
  for (size_t i = 0; i < count; i++) memcpy(all + i * size, one, size);
  *total = count * size;
  return all;
}

static void prepare_messages (void) {
  size_t size = options.size;
  payload = malloc(size);
  for (size_t i = 0; i < size; i++) payload[i] = 'a' + (i * 7 + i / 26) % 26;
  uint8_t *request = malloc(size + 1024), *reply = malloc(size + 14);
  size_t header = 0;
  if (kind == HTTP) {
    request_size = snprintf((char *) request, 1024, "GET %.500s HTTP/1.1\r\nHost: %s:%ld\r\n%s\r\n", options.path, options.host, options.port, !strcmp(options.mode, "http-close") ? "Connection: close\r\n" : "");
    requests = copies_of(request, request_size, &requests_size);
    return;
  }
  if (kind == WEBSOCKET) header = write_frame_header(request, size, true);
  memcpy(request + header, payload, size);
  for (size_t i = 0; kind == WEBSOCKET && i < size; i++) request[header + i] ^= request[header - 4 + i % 4];
  request_size = header + size;
  header = kind == WEBSOCKET ? write_frame_header(reply, size, false) : 0;
  memcpy(reply + header, payload, size);
  reply_size = header + size;
  requests = copies_of(request, request_size, &requests_size);
  replies = copies_of(reply, reply_size, &replies_size);
}

/* ---- connections ---- */

enum state { CLOSED, CONNECTING, HANDSHAKE, OPEN };

struct connection {
  int fd;
  enum state state;
  bool is_writing, is_idle;
  uint64_t started;
  uint64_t to_send, sent;        /* bytes of requests */
  uint64_t begun, answered;      /* requests */
  uint64_t *sent_at;             /* of each that is in flight */
  size_t position;               /* in the reply that is coming */
  uint8_t *pending;              /* what had to be kept to be parsed */
  size_t pending_size, pending_room;
  size_t message_size;           /* of a WebSocket message in fragments: what has come */
  uint8_t message_opcode;
};

static struct connection *connections;
static int epoll_fd;
static long open_count;
static struct sockaddr_in server;
static uint8_t read_buffer[READ_SIZE];

static int new_socket (int type) {
  static unsigned turn;
  int one = 1, fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (type == SOCK_STREAM) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (options.sources > 1) {
    struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + turn++ % options.sources)};
    /* Without it each source would have a port for one connection only, and not for one to each server. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (void *) &source, sizeof source)) { close(fd); return -1; }
  }
  return fd;
}

static void watch (struct connection *c, bool is_writing) {
  if (c->is_writing == is_writing) return;
  c->is_writing = is_writing;
  struct epoll_event event = {.events = EPOLLIN | (is_writing ? EPOLLOUT : 0), .data.ptr = c};
  epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

static void close_connection (struct connection *c, bool is_reset) {
  if (c->fd < 0) return;
  struct linger at_once = {1, 0};
  if (is_reset) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(c->fd);
  c->fd = -1;
  if (c->state == OPEN) open_count--;
  c->state = CLOSED;
}

static void fail (struct connection *c, uint64_t *kind_of_error, const char *what) {
  count_error(kind_of_error, what);
  close_connection(c, true);
}

static void open_connection (struct connection *c) {
  c->to_send = c->sent = c->begun = c->answered = 0;
  c->position = c->pending_size = c->message_size = 0;
  c->state = CONNECTING;
  c->started = now();
  c->fd = new_socket(SOCK_STREAM);
  if (c->fd < 0) { c->state = CLOSED; count_error(&connect_errors, strerror(errno)); return; }
  if (connect(c->fd, (void *) &server, sizeof server) && errno != EINPROGRESS) { fail(c, &connect_errors, strerror(errno)); return; }
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
  c->is_writing = true;
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
}

static void flush (struct connection *c) {
  while (c->sent < c->to_send) {
    size_t offset = c->sent % request_size, length = c->to_send - c->sent;
    if (length > requests_size - offset) length = requests_size - offset;
    uint64_t t = now();
    ssize_t n = send(c->fd, requests + offset, length, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EAGAIN) watch(c, true);
      else fail(c, &closed_errors, strerror(errno));
      return;
    }
    c->sent += n;
    for (; c->begun * request_size < c->sent; c->begun++) c->sent_at[c->begun % options.depth] = t;
    if ((size_t) n < length) { watch(c, true); return; }
  }
  watch(c, false);
}

static void opened (struct connection *c) {
  c->state = OPEN;
  open_count++;
  if (!c->is_idle) c->to_send = options.depth * request_size;
  flush(c);
}

static void replied (struct connection *c, uint64_t t) {
  /* An answer to nothing that was asked. */
  if (c->answered == c->begun) { fail(c, &wrong_errors, "more replies than requests"); return; }
  count_operation(options.size, t - c->sent_at[c->answered++ % options.depth]);
  if (!is_draining) c->to_send += request_size;
}

/* ---- replies ---- */

static void keep (struct connection *c, const uint8_t *data, size_t size) {
  if (c->pending_size + size > c->pending_room) {
    c->pending_room = (c->pending_size + size) * 2;
    c->pending = realloc(c->pending, c->pending_room);
  }
  memcpy(c->pending + c->pending_size, data, size);
  c->pending_size += size;
}

static void drop (struct connection *c, size_t size) {
  memmove(c->pending, c->pending + size, c->pending_size - size);
  c->pending_size -= size;
}

/* Frames that are not the usual one: of other lengths, in fragments, control frames. Pings go unanswered: no run lasts that long. */
static void parse_frames (struct connection *c, uint64_t t) {
  size_t used = 0;
  while (c->state == OPEN && c->pending_size - used >= 2) {
    uint8_t *frame = c->pending + used;
    size_t left = c->pending_size - used, header = 2, size = frame[1] & 127;
    if (size == 126) { if (left < 4) break; size = frame[2] << 8 | frame[3]; header = 4; }
    else if (size == 127) { if (left < 10) break; size = 0; for (int i = 2; i < 10; i++) size = size << 8 | frame[i]; header = 10; }
    int opcode = frame[0] & 15;
    if ((frame[1] & 128) || (frame[0] & 0x70) || size > 1u << 24) { fail(c, &protocol_errors, "a frame that no server sends"); return; }
    if (left < header + size) break;
    used += header + size;
    if (opcode == 8) { fail(c, &closed_errors, "a close frame"); return; }
    if (opcode > 2) continue;
    if (opcode) c->message_opcode = opcode;
    if (c->message_size + size > (size_t) options.size || memcmp(frame + header, payload + c->message_size, size)) { fail(c, &wrong_errors, "a message came back changed"); return; }
    c->message_size += size;
    if (!(frame[0] & 128)) continue;
    if (c->message_size != (size_t) options.size || c->message_opcode != (options.is_text ? 1 : 2)) { fail(c, &wrong_errors, "a message of another size or kind came back"); return; }
    c->message_size = 0;
    replied(c, t);
  }
  if (c->state == OPEN) drop(c, used);
}

/* The size of the first answer in the text; 0: not whole yet; -1: none that may come. Its body must be that of the answer before. */
static ssize_t check_answer (const uint8_t *text, size_t size) {
  const uint8_t *end = memmem(text, size, "\r\n\r\n", 4);
  if (!end) return size > 65536 ? -1 : 0;
  size_t header = end + 4 - text;
  char head[8192];
  snprintf(head, sizeof head, "%.*s", (int) header, (const char *) text);
  const char *length = strcasestr(head, "\r\nContent-Length:");
  if (strncmp(head, "HTTP/1.1 200", 12) || !length) return -1;
  size_t whole = header + atol(length + 17);
  if (size < whole) return 0;
  if (answer && !options.is_varying && (whole - header != answer_size - body_offset || memcmp(text + header, answer + body_offset, whole - header))) return -1;
  answer = realloc(answer, whole);
  memcpy(answer, text, whole);
  answer_size = whole;
  body_offset = header;
  return whole;
}

static void parse_answers (struct connection *c, uint64_t t) {
  while (c->state == OPEN && c->pending_size) {
    ssize_t n = check_answer(c->pending, c->pending_size);
    if (n < 0) { fail(c, &protocol_errors, "not 200, without Content-Length, or another body than before"); return; }
    if (n == 0) return;
    drop(c, n);
    replied(c, t);
  }
}

static void received (struct connection *c, const uint8_t *data, size_t size, uint64_t t) {
  if (kind == HTTP) {
    for (; answer && !c->pending_size && size >= answer_size && !memcmp(data, answer, answer_size); data += answer_size, size -= answer_size) {
      replied(c, t);
      if (c->state != OPEN) return;
    }
    if (size) { keep(c, data, size); parse_answers(c, t); }
    return;
  }
  if (c->pending_size || c->message_size) { keep(c, data, size); parse_frames(c, t); return; }
  while (size) {
    size_t length = size < replies_size - c->position ? size : replies_size - c->position;
    if (memcmp(data, replies + c->position, length)) {
      if (kind == TCP) { fail(c, &wrong_errors, "a byte came back changed"); return; }
      keep(c, replies, c->position);
      c->position = 0;
      keep(c, data, size);
      parse_frames(c, t);
      return;
    }
    size_t whole = (c->position + length) / reply_size;
    c->position = (c->position + length) % reply_size;
    data += length;
    size -= length;
    while (whole--) { replied(c, t); if (c->state != OPEN) return; }
  }
}

/* ---- the loop ---- */

static void send_handshake (struct connection *c) {
  char text[1024];
  int n = snprintf(text, sizeof text, "GET %.500s HTTP/1.1\r\nHost: %s:%ld\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", options.path, options.host, options.port);
  if (send(c->fd, text, n, MSG_NOSIGNAL) != n) { fail(c, &connect_errors, "the handshake could not be sent"); return; }
  c->state = HANDSHAKE;
  watch(c, false);
}

static void read_handshake (struct connection *c) {
  ssize_t n = read(c->fd, read_buffer, 4096);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) { fail(c, &connect_errors, "closed during the handshake"); return; }
  keep(c, read_buffer, n);
  uint8_t *end = memmem(c->pending, c->pending_size, "\r\n\r\n", 4);
  if (!end) return;
  /* The accept value is that of RFC 6455's own example key. */
  if (strncmp((char *) c->pending, "HTTP/1.1 101", 12) || !memmem(c->pending, c->pending_size, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28)) {
    fail(c, &protocol_errors, "the handshake was not answered with 101");
    return;
  }
  drop(c, end + 4 - c->pending);
  opened(c);
  if (c->state == OPEN && c->pending_size) parse_frames(c, now());
}

static void on_stream (struct connection *c, uint32_t events) {
  if (c->state == CONNECTING) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) fail(c, &connect_errors, strerror(error));
    else if (kind == WEBSOCKET) send_handshake(c);
    else opened(c);
    return;
  }
  if (c->state == HANDSHAKE) { read_handshake(c); return; }
  if (c->state == OPEN && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
    ssize_t n = read(c->fd, read_buffer, READ_SIZE);
    if (n == 0) { fail(c, &closed_errors, "the server closed"); return; }
    if (n < 0 && errno != EAGAIN) { fail(c, &closed_errors, strerror(errno)); return; }
    if (n > 0) received(c, read_buffer, n, now());
    if (c->state == OPEN && !c->is_writing) flush(c);
  }
  if (c->state == OPEN && (events & EPOLLOUT)) flush(c);
}

/* Each churning connection is one operation: connect, ask, read the answer, close. */
enum churn { TIME_CHURN, ECHO_CHURN, CLOSE_CHURN };
static enum churn churn;

static void churned (struct connection *c, bool is_end) {
  bool is_right = churn == TIME_CHURN ? c->pending_size > 20 && !memcmp(c->pending + c->pending_size - 2, "\r\n", 2)
    : churn == ECHO_CHURN ? c->pending_size == (size_t) options.size && !memcmp(c->pending, payload, options.size)
    : check_answer(c->pending, c->pending_size) == (ssize_t) c->pending_size;
  if (is_end && !c->pending_size) count_error(&closed_errors, "closed without an answer");
  else if (!is_right) count_error(&wrong_errors, "a wrong answer");
  else count_operation(c->pending_size, now() - c->started);
  close_connection(c, !is_right);
  if (!is_draining) open_connection(c);
}

static void on_churn (struct connection *c, uint32_t events) {
  (void) events;
  if (c->state == CONNECTING) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) { fail(c, &connect_errors, strerror(error)); open_connection(c); return; }
    c->state = OPEN;
    open_count++;
    const uint8_t *request = churn == ECHO_CHURN ? payload : requests;
    ssize_t size = churn == TIME_CHURN ? 0 : churn == ECHO_CHURN ? options.size : (ssize_t) request_size;
    if (size && send(c->fd, request, size, MSG_NOSIGNAL) != size) { fail(c, &closed_errors, "could not send"); open_connection(c); return; }
    watch(c, false);
  }
  while (c->state == OPEN) {
    ssize_t n = read(c->fd, read_buffer, READ_SIZE);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) { fail(c, &closed_errors, strerror(errno)); open_connection(c); return; }
    keep(c, read_buffer, n);
    if (n == 0 || (churn == ECHO_CHURN && c->pending_size >= (size_t) options.size)) { churned(c, n == 0); return; }
  }
}

static void on_sink (struct connection *c, uint32_t events) {
  if (c->state == CONNECTING) { on_stream(c, events); if (c->state == OPEN) watch(c, true); return; }
  if (events & (EPOLLERR | EPOLLHUP | EPOLLIN)) {
    ssize_t n = read(c->fd, read_buffer, READ_SIZE);
    if (n == 0 || (n < 0 && errno != EAGAIN)) { fail(c, &closed_errors, "the server closed"); return; }
  }
  ssize_t n = send(c->fd, requests, options.size, MSG_NOSIGNAL);
  if (n > 0 && is_measuring) bytes += n;
}

static void (*on_event) (struct connection *, uint32_t);

static void run_until (uint64_t deadline, bool (*is_done) (void)) {
  static struct epoll_event events[1024];
  for (uint64_t t = now(); t < deadline && !(is_done && is_done()); t = now()) {
    uint64_t left = (deadline - t + MILLISECOND - 1) / MILLISECOND;
    int count = epoll_wait(epoll_fd, events, 1024, left > 20 ? 20 : left);
    for (int i = 0; i < count; i++) {
      struct connection *c = events[i].data.ptr;
      if (c->state != CLOSED) on_event(c, events[i].events);
    }
  }
}

static void make_connections (long count) {
  connections = calloc(count, sizeof *connections);
  for (long i = 0; i < count; i++) {
    connections[i].fd = -1;
    connections[i].sent_at = calloc(options.depth, sizeof(uint64_t));
  }
}

static bool is_settled (void) {
  for (long i = 0; i < options.connections; i++) {
    if (connections[i].state == CONNECTING || connections[i].state == HANDSHAKE) return false;
  }
  return true;
}

static bool is_drained (void) {
  for (long i = 0; i < options.connections; i++) {
    if (connections[i].state == OPEN && connections[i].answered * request_size < connections[i].to_send) return false;
  }
  return true;
}

static uint64_t after (double seconds) { return now() + (uint64_t) (seconds * SECOND); }

static void measure (void) {
  run_until(after(options.warmup), NULL);
  begin();
  run_until(after(options.seconds), NULL);
  finish();
}

static void run_connections (bool is_stream) {
  make_connections(options.connections);
  for (long i = 0; i < options.connections; i++) open_connection(&connections[i]);
  if (is_stream) {
    run_until(after(options.opening), is_settled);
    for (long i = 0; i < options.connections; i++) {
      if (connections[i].state != OPEN && connections[i].state != CLOSED) fail(&connections[i], &connect_errors, "not open in time");
    }
  }
  measure();
  /* What is in flight comes home, so that the server has no dead sockets to write to. */
  is_draining = true;
  if (is_stream) run_until(after(0.4), is_drained);
  for (long i = 0; i < options.connections; i++) close_connection(&connections[i], true);
}

/* ---- idle connections ---- */

#define OPENING 128
static long opening_from, opening_to;

static bool is_opening_done (void) {
  long under_way = 0;
  for (long i = opening_from; i < opening_to; i++) under_way += connections[i].state == CONNECTING || connections[i].state == HANDSHAKE;
  while (opening_from < opening_to && connections[opening_from].state != CONNECTING && connections[opening_from].state != HANDSHAKE) opening_from++;
  for (; under_way < OPENING && opening_to <= options.connections; under_way++) open_connection(&connections[opening_to++]);
  return under_way == 0;
}

/* One active connection alone, then the same with all the idle ones. */
static void run_hold (void) {
  make_connections(options.connections + 1);
  for (long i = 1; i <= options.connections; i++) connections[i].is_idle = true;
  open_connection(&connections[0]);
  measure();
  double alone50 = percentile(.5) / 1e3, alone99 = percentile(.99) / 1e3;
  struct cost before = server_cost();
  uint64_t from = now();
  opening_from = opening_to = 1;
  /* Quiet while the others come: what they cost is theirs. */
  is_draining = true;
  run_until(after(60), is_opening_done);
  double seconds = (now() - from) / 1e9;
  struct cost after_opening = server_cost();
  long opened_count = open_count - 1;
  run_until(after(1), NULL);
  struct cost settled = server_cost();
  is_draining = false;
  if (connections[0].state == OPEN) { connections[0].to_send += request_size; flush(&connections[0]); }
  measure();
  char cost[200] = "\"openCpuUs\":null,\"bytesEach\":null";
  if (before.is_known && settled.is_known && opened_count > 0) {
    snprintf(cost, sizeof cost, "\"openCpuUs\":%.2f,\"bytesEach\":%.0f", (after_opening.cpu_us - before.cpu_us) / opened_count, (settled.resident_kb - before.resident_kb) * 1024.0 / opened_count);
  }
  snprintf(hold_part, sizeof hold_part, "{\"asked\":%ld,\"opened\":%ld,\"alive\":%ld,\"openSeconds\":%.3f,\"alone50\":%.1f,\"alone99\":%.1f,%s}", options.connections, opened_count, open_count - 1, seconds, alone50, alone99, cost);
  for (long i = 0; i <= options.connections; i++) close_connection(&connections[i], true);
}

/* ---- UDP: a datagram that is not back after a while is lost, counted, and sent anew ---- */

#define BATCH 64
#define LOST_AFTER (250 * MILLISECOND)

struct datagram_socket { int fd; struct slot { uint64_t sent_at; uint32_t number; } *slots; };

static void send_datagrams (struct datagram_socket *s, const uint32_t *slots, int count) {
  static struct mmsghdr headers[BATCH];
  static struct iovec parts[BATCH];
  static uint8_t *room;
  if (!room) room = malloc((size_t) BATCH * options.size);
  uint64_t t = now();
  for (int i = 0; i < count; i++) {
    uint8_t *text = room + i * options.size;
    struct slot *slot = &s->slots[slots[i]];
    slot->number++;
    slot->sent_at = t;
    memcpy(text, payload, options.size);
    memcpy(text, &slots[i], 4);
    memcpy(text + 4, &slot->number, 4);
    parts[i] = (struct iovec) {text, options.size};
    headers[i].msg_hdr = (struct msghdr) {.msg_iov = &parts[i], .msg_iovlen = 1};
  }
  for (int done = 0; done < count;) {
    int n = sendmmsg(s->fd, headers + done, count - done, 0);
    if (n > 0) { done += n; continue; }
    if (errno != ECONNREFUSED) return;
    count_error(&connect_errors, strerror(errno));
    return;
  }
}

static void receive_datagrams (struct datagram_socket *s) {
  static struct mmsghdr headers[BATCH];
  static struct iovec parts[BATCH];
  static uint8_t *room;
  if (!room) {
    room = malloc((size_t) BATCH * 65536);
    for (int i = 0; i < BATCH; i++) {
      parts[i] = (struct iovec) {room + (size_t) i * 65536, 65536};
      headers[i].msg_hdr = (struct msghdr) {.msg_iov = &parts[i], .msg_iovlen = 1};
    }
  }
  uint32_t again[BATCH];
  int again_count = 0, count = recvmmsg(s->fd, headers, BATCH, 0, NULL);
  if (count < 0 && errno != EAGAIN) count_error(&connect_errors, strerror(errno));
  uint64_t t = now();
  for (int i = 0; i < count; i++) {
    uint8_t *text = parts[i].iov_base;
    uint32_t slot, number;
    memcpy(&slot, text, 4);
    memcpy(&number, text + 4, 4);
    if (headers[i].msg_len != (unsigned) options.size || slot >= options.depth || memcmp(text + 8, payload + 8, options.size - 8)) { count_error(&wrong_errors, "a datagram came back changed"); continue; }
    if (s->slots[slot].number != number) { late++; continue; }
    count_operation(options.size, t - s->slots[slot].sent_at);
    again[again_count++] = slot;
  }
  if (again_count && !is_draining) send_datagrams(s, again, again_count);
}

static void resend_lost (struct datagram_socket *s) {
  uint64_t t = now();
  for (uint32_t i = 0; i < options.depth; i++) {
    if (s->slots[i].sent_at && t - s->slots[i].sent_at <= LOST_AFTER) continue;
    if (s->slots[i].sent_at) lost++;
    send_datagrams(s, &i, 1);
  }
}

static void run_udp (void) {
  if (options.size < 8) usage("--size takes 8 at least for UDP");
  struct datagram_socket *sockets = calloc(options.connections, sizeof *sockets);
  for (long i = 0; i < options.connections; i++) {
    sockets[i] = (struct datagram_socket) {new_socket(SOCK_DGRAM), calloc(options.depth, sizeof(struct slot))};
    if (connect(sockets[i].fd, (void *) &server, sizeof server)) usage(strerror(errno));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &sockets[i]};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, sockets[i].fd, &event);
  }
  static struct epoll_event events[1024];
  uint64_t start = now(), look = 0, begin_at = start + options.warmup * SECOND, end_at = 0, drain_until = 0;
  while (!drain_until || now() < drain_until) {
    uint64_t t = now();
    if (!end_at && t >= begin_at) { begin(); end_at = began + options.seconds * SECOND; }
    if (end_at && !drain_until && t >= end_at) { finish(); is_draining = true; drain_until = t + 30 * MILLISECOND; }
    if (t >= look && !is_draining) {
      for (long i = 0; i < options.connections; i++) resend_lost(&sockets[i]);
      look = t + 50 * MILLISECOND;
    }
    int count = epoll_wait(epoll_fd, events, 1024, 5);
    for (int i = 0; i < count; i++) receive_datagrams(events[i].data.ptr);
  }
}

int main (int count, char **words) {
  read_options(count, words);
  server = (struct sockaddr_in) {.sin_family = AF_INET, .sin_port = htons(options.port)};
  if (inet_pton(AF_INET, options.host, &server.sin_addr) != 1) usage("--host takes an IPv4 address");
  if (ntohl(server.sin_addr.s_addr) >> 24 != 127 && !options.is_remote) usage("--host is not this machine (127.0.0.0/8); --remote allows it");
  signal(SIGPIPE, SIG_IGN);
  alarm(options.seconds * 2 + options.warmup * 2 + 100);
  struct rlimit descriptors;
  getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = descriptors.rlim_max;
  setrlimit(RLIMIT_NOFILE, &descriptors);
  epoll_fd = epoll_create1(0);

  const char *mode = options.mode;
  bool is_http = !strcmp(mode, "http") || !strcmp(mode, "http-close");
  kind = is_http ? HTTP : !strcmp(mode, "ws") || !strcmp(mode, "ws-hold") ? WEBSOCKET : TCP;
  if (strstr(mode, "hold")) options.depth = 1;
  prepare_messages();
  on_event = on_stream;
  if (!strcmp(mode, "tcp") || !strcmp(mode, "ws") || !strcmp(mode, "http")) run_connections(true);
  else if (!strcmp(mode, "ws-hold") || !strcmp(mode, "tcp-hold")) run_hold();
  else if (!strcmp(mode, "udp")) run_udp();
  else if (!strcmp(mode, "sink")) {
    on_event = on_sink;
    run_connections(false);
    operations = bytes / options.size;
  } else if (!strcmp(mode, "time-churn") || !strcmp(mode, "echo-churn") || !strcmp(mode, "http-close")) {
    churn = is_http ? CLOSE_CHURN : mode[0] == 't' ? TIME_CHURN : ECHO_CHURN;
    on_event = on_churn;
    run_connections(false);
  } else usage("the modes are tcp, ws, http, http-close, udp, time-churn, echo-churn, sink, ws-hold, tcp-hold");
  print_result();
  return 0;
}

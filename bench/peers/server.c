/*
 * The least that a server can cost here: one thread, level-triggered epoll, no framework. HTTP with a WebSocket
 * echo, TCP echo, the time, a sink, and UDP echo, each on a free port of 127.0.0.1; prints its ports.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
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

enum kind { HTTP_LISTENER, ECHO_LISTENER, TIME_LISTENER, SINK_LISTENER, UDP_ECHO, HTTP, WEBSOCKET, ECHO, SINK };
static const char *const names[] = {"http", "echo", "time", "sink", "udp"};

struct peer {
  int fd;
  enum kind kind;
  bool is_writing;
  uint8_t *in, *out; /* a request that is not whole yet; a reply that did not fit into the socket */
  size_t in_size, in_room, out_size, out_sent, out_room;
};

#define READ_SIZE (256 * 1024)
#define MAX_FRAME (16 * 1024 * 1024)
#define FRAME_HEADER 10
#define BATCH 32
static int epoll_fd;
static uint8_t read_buffer[READ_SIZE], reply_buffer[READ_SIZE + 65536];

/* ---- SHA-1 (RFC 3174) and Base64, for the handshake ---- */

static uint32_t rotate (uint32_t x, int n) { return x << n | x >> (32 - n); }

/* Of at most 119 bytes, which fit into two blocks. */
static void sha1 (const uint8_t *text, size_t size, uint8_t *digest) {
  uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  uint8_t blocks[128] = {0};
  size_t total = size + 9 <= 64 ? 64 : 128;
  memcpy(blocks, text, size);
  blocks[size] = 0x80;
  for (int i = 0; i < 8; i++) blocks[total - 1 - i] = (uint64_t) size * 8 >> 8 * i;
  for (uint8_t *block = blocks; block < blocks + total; block += 64) {
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 16; i++) w[i] = (uint32_t) block[i * 4] << 24 | block[i * 4 + 1] << 16 | block[i * 4 + 2] << 8 | block[i * 4 + 3];
    for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
      uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 ? b ^ c ^ d : i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
      uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
      uint32_t next = rotate(a, 5) + f + e + k + w[i];
      e = d; d = c; c = rotate(b, 30); b = a; a = next;
    }
    h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e;
  }
  for (int i = 0; i < 20; i++) digest[i] = h[i / 4] >> (24 - i % 4 * 8);
}

static void base64 (const uint8_t *from, int size, char *to) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (int i = 0; i < size; i += 3, to += 4) {
    uint32_t bits = from[i] << 16 | (i + 1 < size ? from[i + 1] << 8 : 0) | (i + 2 < size ? from[i + 2] : 0);
    for (int j = 0; j < 4; j++) to[j] = i + j > size ? '=' : digits[bits >> (18 - 6 * j) & 63];
  }
  *to = 0;
}

/* ---- bytes in and out ---- */

static void end (struct peer *p) {
  close(p->fd);
  free(p->in);
  free(p->out);
  free(p);
}

static void append (uint8_t **to, size_t *size, size_t *room, const uint8_t *data, size_t count) {
  if (*size + count > *room) {
    *room = (*size + count) * 2;
    *to = realloc(*to, *room);
  }
  memcpy(*to + *size, data, count);
  *size += count;
}

/* A peer is read only while it takes what it gets. */
static void watch (struct peer *p) {
  bool is_writing = p->out_sent < p->out_size;
  if (is_writing == p->is_writing) return;
  p->is_writing = is_writing;
  struct epoll_event event = {.events = is_writing ? EPOLLOUT : EPOLLIN, .data.ptr = p};
  epoll_ctl(epoll_fd, EPOLL_CTL_MOD, p->fd, &event);
}

static bool put (struct peer *p, const void *data, size_t size) {
  ssize_t n = p->out_sent < p->out_size ? 0 : send(p->fd, data, size, MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN) return false;
  if (n < 0) n = 0;
  if ((size_t) n < size) append(&p->out, &p->out_size, &p->out_room, (const uint8_t *) data + n, size - n);
  watch(p);
  return true;
}

static bool put_rest (struct peer *p) {
  ssize_t n = send(p->fd, p->out + p->out_sent, p->out_size - p->out_sent, MSG_NOSIGNAL);
  if (n < 0) return errno == EAGAIN;
  p->out_sent += n;
  if (p->out_sent == p->out_size) p->out_sent = p->out_size = 0;
  watch(p);
  return true;
}

/* ---- the protocols: each says how many of the bytes it has used, or -1 for the end of the connection ---- */

#define PAGE "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n"

static bool upgrade (struct peer *p, const uint8_t *key) {
  char text[61], accept[29], answer[200];
  uint8_t digest[20];
  memcpy(text, key, 24);
  memcpy(text + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 37);
  sha1((uint8_t *) text, 60, digest);
  base64(digest, 20, accept);
  p->kind = WEBSOCKET;
  return put(p, answer, sprintf(answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept));
}

static ssize_t serve_http (struct peer *p, uint8_t *data, size_t size) {
  size_t used = 0;
  while (p->kind == HTTP) {
    uint8_t *request = data + used, *blank = memmem(request, size - used, "\r\n\r\n", 4);
    if (!blank) break;
    uint8_t *key = memmem(request, blank - request, "\r\nSec-WebSocket-Key: ", 21);
    used = blank + 4 - data;
    if (key) {
      if (blank - key < 21 + 24 || !upgrade(p, key + 21)) return -1;
    } else if (memmem(request, blank - request, "onnection: close", 16)) {
      put(p, PAGE "Connection: close\r\n\r\nHello, world", sizeof PAGE + 32);
      return -1;
    } else if (!put(p, PAGE "\r\nHello, world", sizeof PAGE + 13)) return -1;
  }
  return used;
}

static void unmask (uint8_t *to, const uint8_t *from, size_t size, const uint8_t *mask) {
  uint64_t twice;
  memcpy(&twice, mask, 4);
  memcpy((uint8_t *) &twice + 4, mask, 4);
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    uint64_t eight;
    memcpy(&eight, from + i, 8);
    eight ^= twice;
    memcpy(to + i, &eight, 8);
  }
  for (; i < size; i++) to[i] = from[i] ^ mask[i % 4];
}

/* All the replies to what one read brought go out in one write. */
static ssize_t serve_websocket (struct peer *p, uint8_t *data, size_t size) {
  size_t used = 0, filled = 0;
  bool is_closing = false;
  while (size - used >= 2 && !is_closing) {
    uint8_t *frame = data + used;
    size_t left = size - used, length = frame[1] & 127, header = 2;
    if (length == 126) { if (left < 4) break; length = frame[2] << 8 | frame[3]; header = 4; }
    else if (length == 127) { if (left < 10) break; length = 0; for (int i = 2; i < 10; i++) length = length << 8 | frame[i]; header = 10; }
    if (!(frame[1] & 128) || length > MAX_FRAME) return -1;
    if (left < header + 4 + length) break;
    int opcode = frame[0] & 15;
    used += header + 4 + length;
    if (opcode == 10) continue;
    is_closing = opcode == 8;
    if (filled + FRAME_HEADER + length > sizeof reply_buffer) {
      if (filled && !put(p, reply_buffer, filled)) return -1;
      filled = 0;
    }
    bool is_large = FRAME_HEADER + length > sizeof reply_buffer;
    uint8_t *reply = reply_buffer + filled;
    reply[0] = opcode == 9 ? 0x8a : frame[0];
    memcpy(reply + 1, frame + 1, header - 1);
    reply[1] &= 127;
    unmask(is_large ? frame + header + 4 : reply + header, frame + header + 4, length, frame + header);
    filled += is_large ? header : header + length;
    if (is_large) {
      if (!put(p, reply_buffer, filled) || !put(p, frame + header + 4, length)) return -1;
      filled = 0;
    }
  }
  if (filled && !put(p, reply_buffer, filled)) return -1;
  return is_closing ? -1 : (ssize_t) used;
}

static bool serve (struct peer *p) {
  ssize_t n = read(p->fd, read_buffer, sizeof read_buffer);
  if (n < 0) return errno == EAGAIN;
  if (n == 0) return false;
  if (p->kind == SINK) return true;
  if (p->kind == ECHO) return put(p, read_buffer, n);
  uint8_t *data = read_buffer;
  size_t size = n;
  bool is_kept = p->in_size > 0;
  if (is_kept) {
    append(&p->in, &p->in_size, &p->in_room, read_buffer, n);
    data = p->in;
    size = p->in_size;
  }
  ssize_t used = p->kind == HTTP ? serve_http(p, data, size) : 0;
  if (used < 0) return false;
  if (p->kind == WEBSOCKET) {
    ssize_t more = serve_websocket(p, data + used, size - used);
    if (more < 0) return false;
    used += more;
  }
  if (!is_kept) {
    if ((size_t) used < size) append(&p->in, &p->in_size, &p->in_room, data + used, size - used);
    return true;
  }
  memmove(p->in, p->in + used, p->in_size - used);
  p->in_size -= used;
  if (p->in_size == 0) {
    /* Idle connections hold no memory. */
    free(p->in);
    p->in = NULL;
    p->in_room = 0;
  }
  return true;
}

/* ---- listeners ---- */

static void send_time (int fd) {
  char text[64];
  time_t t = time(NULL);
  struct tm local;
  localtime_r(&t, &local);
  size_t size = strftime(text, sizeof text, "%a %b %e %H:%M:%S %Y\r\n", &local);
  send(fd, text, size, MSG_NOSIGNAL);
  close(fd);
}

static void accept_all (struct peer *listener) {
  for (int i = 0; i < 64; i++) {
    int one = 1, fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) return;
    if (listener->kind == TIME_LISTENER) { send_time(fd); continue; }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct peer *p = calloc(1, sizeof *p);
    p->fd = fd;
    p->kind = listener->kind == HTTP_LISTENER ? HTTP : listener->kind == ECHO_LISTENER ? ECHO : SINK;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
  }
}

static void echo_datagrams (int fd) {
  static struct mmsghdr headers[BATCH];
  static struct iovec parts[BATCH];
  static struct sockaddr_in from[BATCH];
  static uint8_t text[BATCH][65536];
  for (int i = 0; i < BATCH; i++) {
    parts[i] = (struct iovec) {text[i], sizeof text[i]};
    headers[i].msg_hdr = (struct msghdr) {.msg_iov = &parts[i], .msg_iovlen = 1, .msg_name = &from[i], .msg_namelen = sizeof from[i]};
  }
  int count = recvmmsg(fd, headers, BATCH, 0, NULL);
  for (int i = 0; i < count; i++) parts[i].iov_len = headers[i].msg_len;
  if (count > 0) sendmmsg(fd, headers, count, 0);
}

static void listen_on (struct peer *listener, enum kind kind) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  *listener = (struct peer) {.kind = kind, .fd = socket(AF_INET, (kind == UDP_ECHO ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0)};
  if (bind(listener->fd, (void *) &address, length) || (kind != UDP_ECHO && listen(listener->fd, 4096))) { perror(names[kind]); exit(1); }
  getsockname(listener->fd, (void *) &address, &length);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = listener};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener->fd, &event);
  printf("%s\"%s\":%d", kind == HTTP_LISTENER ? "{" : ",", names[kind], ntohs(address.sin_port));
}

int main (void) {
  static struct peer listeners[UDP_ECHO + 1];
  static struct epoll_event events[512];
  struct rlimit descriptors;
  signal(SIGPIPE, SIG_IGN);
  getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = descriptors.rlim_max;
  setrlimit(RLIMIT_NOFILE, &descriptors);
  epoll_fd = epoll_create1(0);
  for (enum kind kind = HTTP_LISTENER; kind <= UDP_ECHO; kind++) listen_on(&listeners[kind], kind);
  printf("}\n");
  fflush(stdout);
  while (true) {
    int count = epoll_wait(epoll_fd, events, 512, -1);
    for (int i = 0; i < count; i++) {
      struct peer *p = events[i].data.ptr;
      if (p->kind == UDP_ECHO) echo_datagrams(p->fd);
      else if (p->kind < UDP_ECHO) accept_all(p);
      else if (!(p->is_writing ? put_rest(p) : serve(p))) end(p);
    }
  }
}

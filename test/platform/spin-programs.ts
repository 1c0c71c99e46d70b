/** Servers of the kinds that people write, each with its own way of waiting. All answer a line to whatever comes. */

const NODE = `
const http = require("http");
http.createServer((request, response) => {
	if (request.url === "/stream") { response.write("first"); return; }
	request.resume().on("end", () => response.end("ok"));
}).on("upgrade", (_, socket) => {
	socket.write("HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n\\r\\n");
	socket.on("error", () => {}).on("end", () => socket.end()).resume();
}).listen(3000);
`;

const PYTHON = `
import http.server, threading, asyncio, socket, os, select
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/stream":
            self.send_response(200); self.send_header("Transfer-Encoding", "chunked"); self.end_headers()
            self.wfile.write(b"5\\r\\nfirst\\r\\n"); self.rfile.read(1); return
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"ok")
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"])); self.do_GET()
    def log_message(self, *_): pass
threading.Thread(target=http.server.ThreadingHTTPServer(("0.0.0.0", 3001), Handler).serve_forever, daemon=True).start()

# A connection that is never taken from the queue of its listener.
queue = socket.socket(); queue.bind(("0.0.0.0", 3007)); queue.listen()
# Both ends inside: over the loopback, a UNIX socket, a pipe, UDP.
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen()
near = socket.create_connection(listener.getsockname()); far, _ = listener.accept()
left, right = socket.socketpair()
out, into = os.pipe()
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(("127.0.0.1", 0))
watched = select.epoll()
for one in (near, far, left, right, udp): watched.register(one.fileno(), select.EPOLLIN)
watched.register(out, select.EPOLLIN)
def wait():
    while True: watched.poll()
threading.Thread(target=wait, daemon=True).start()

async def serve(reader, writer):
    try:
        while await reader.read(1000):
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok"); await writer.drain()
    except ConnectionError: pass
    finally: writer.close()
async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", 3002)
    await server.serve_forever()
asyncio.run(main())
`;

const C = `
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>
static const char answer[] = "HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok";
/* Reads what there is; closes on an end or an error. */
static int serve(int fd, int all) {
	char bytes[4096];
	ssize_t n;
	do {
		n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
		if (n > 0) send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (all && n > 0);
	if (n == 0 || (n < 0 && errno_is_final())) return close(fd), 0;
	return 1;
}
int main(int argc, char **argv) {
	int mode = argv[1][0], one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (argc < 3 || bind(listener, (void *)&at, sizeof at) || listen(listener, 64)) return 1;
	int edge = mode == 'e' ? EPOLLET : 0, ep = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[64];
	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &event);
	struct pollfd fds[1024] = {{.fd = listener, .events = POLLIN}};
	int count = 1;
	for (;;) {
		if (mode == 'l' || mode == 'e') {
			int n = epoll_wait(ep, events, 64, -1);
			for (int i = 0; i < n; i++) {
				int fd = events[i].data.fd;
				if (fd != listener) { serve(fd, edge); continue; }
				event.data.fd = accept(listener, NULL, NULL);
				event.events = EPOLLIN | EPOLLRDHUP | edge;
				epoll_ctl(ep, EPOLL_CTL_ADD, event.data.fd, &event);
			}
			continue;
		}
		if (mode == 'p') poll(fds, count, -1);
		else {
			fd_set set; FD_ZERO(&set);
			for (int i = 0; i < count; i++) FD_SET(fds[i].fd, &set);
			select(1024, &set, NULL, NULL, NULL);
			for (int i = 0; i < count; i++) fds[i].revents = FD_ISSET(fds[i].fd, &set) ? POLLIN : 0;
		}
		for (int i = count - 1; i > 0; i--) if (fds[i].revents && !serve(fds[i].fd, 0)) fds[i] = fds[--count];
		if (fds[0].revents) fds[count++] = (struct pollfd){.fd = accept(listener, NULL, NULL), .events = POLLIN};
	}
}
`.replace(
	"/* Reads",
	"#include <errno.h>\nstatic int errno_is_final(void) { return errno != EAGAIN && errno != EINTR; }\n/* Reads",
);

/** The ports at which the programs listen; at the last one a connection stays in the queue. */
export const SERVERS = { node: 3000, http: 3001, asyncio: 3002, level: 3003, edge: 3004, poll: 3005, select: 3006 };
export const QUEUE_PORT = 3007;

export const FILES = { "/home/user/server.cjs": NODE, "/home/user/server.py": PYTHON, "/home/user/server.c": C };

/** Starts them all, and returns when each of them listens. */
export const START = `
cc -O1 -w -o /home/user/server /home/user/server.c
(setsid node /home/user/server.cjs; ) > /tmp/node.log 2>&1 &
(setsid python3 /home/user/server.py) > /tmp/python.log 2>&1 &
for row in l:${SERVERS.level} e:${SERVERS.edge} p:${SERVERS.poll} s:${SERVERS.select}; do
	setsid /home/user/server \${row%:*} \${row#*:} > /tmp/c.log 2>&1 &
done
for port in ${Object.values(SERVERS).join(" ")}; do
	for i in $(seq 100); do curl -s -m 2 localhost:$port/ > /dev/null && break; sleep 0.1; done
done
`;

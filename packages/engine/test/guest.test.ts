import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { newId } from "@dormice/protocol";
import { Sandbox } from "e2b";
import { inside, TestEngine } from "./engine.ts";

const LIMITS = { cpuCount: 1, memoryMib: 512, diskMib: 256, pids: 512 };

let engine: TestEngine;
let rootfsId = "";

before(async () => {
	engine = await TestEngine.open();
	for await (const message of engine.client.buildRootfs({ name: "base" })) rootfsId = message.rootfsId;
});

after(() => engine[Symbol.asyncDispose]());

/** Writes down what inotify tells of a directory, until a file `end` comes. */
const WATCH = `
import ctypes, os, struct, sys
c = ctypes.CDLL(None)
fd = c.inotify_init1(0)
c.inotify_add_watch(fd, sys.argv[1].encode(), 0xfc6)
print("ready", flush=True)
name = ""
while name != "end":
    data, at = os.read(fd, 65536), 0
    while at < len(data):
        _, mask, _, length = struct.unpack_from("iIII", data, at)
        name = data[at + 16:at + 16 + length].rstrip(b"\\0").decode()
        print(name, flush=True)
        at += 16 + length
`;

/**
 * Asks for `id -u` as root: the first user begins the request, the second ends it over the same connection.
 * Both stay until it is answered: of a sender that is gone, gVisor knows no pid.
 */
const TWO_VOICES = `
import array, os, socket, struct, sys
text = lambda t: struct.pack("<I", len(t)) + t.encode() + b"\\0"
texts = lambda *all: struct.pack("<I", len(all)) + b"".join(map(text, all))
frame = struct.pack("<I", 18) + text("/") + text("id") + texts("id", "-u") + texts("PATH=/usr/bin")
s = socket.socket(socket.AF_UNIX)
s.connect("/run/dormice/elevate.sock")
said, over = os.pipe(), os.pipe()
def voice(uid, speak):
    if os.fork() == 0:
        os.close(over[1])
        os.setuid(uid)
        speak()
        os.write(said[1], b"x")
        os.read(over[0], 1)
        os._exit(0)
    os.read(said[0], 1)
begin = lambda: socket.send_fds(s, [struct.pack("<I", len(frame))], [0, 1, 2])
end = lambda: s.sendall(frame)
first, second = map(int, sys.argv[1:])
if first == second:
    voice(first, lambda: (begin(), end()))
else:
    voice(first, begin)
    voice(second, end)
answer = s.recv(4)
print("status", struct.unpack("<i", answer)[0] if answer else None)
`;

for (const isolation of ["gvisor", "microvm"] as const) describe(`inside a ${isolation}`, () => rows(isolation));

function rows(isolation: "gvisor" | "microvm"): void {
	let address = "";
	let run: (command: string) => Promise<string>;

	before(async () => {
		const source = { case: "rootfsId", value: rootfsId } as const;
		const { sandbox } = await engine.client.boot({ sandboxId: newId("sandbox"), limits: LIMITS, source, isolation });
		address = sandbox?.address ?? "";
		({ run } = await inside(address));
		await run(`for name in listed own other; do useradd $name; done; usermod -aG sudo listed; usermod -g sudo own
			echo '%sudo ALL=(ALL:ALL) NOPASSWD:ALL' > /etc/sudoers.d/group; chmod 440 /etc/sudoers.d/group`);
	});

	for (const [who, name, may] of [
		["root", "root", true],
		["the base's user", "user", true],
		["who is listed in the group sudo", "listed", true],
		["whose own group is sudo", "own", true],
		["who is in no such group", "other", false],
		["nobody", "nobody", false],
	] as const) {
		test(`sudo ${may ? "makes root of" : "refuses"} ${who}`, async () => {
			const identity = `--reuid=${name} --regid=$(id -g ${name}) --init-groups`;
			const said = await run(`cd /; setpriv ${identity} sudo -n id -u 2> /dev/null || echo refused`);
			assert.equal(said, may ? "0" : "refused");
		});
	}

	if (isolation === "gvisor")
		for (const [head, rest, said] of [
			["0", "0", "0\nstatus 0"],
			["0", "65534", "status None"],
			["65534", "0", "status None"],
			["65534", "65534", "status 65537"],
		] as const) {
			test(`a request for root, begun by uid ${head} and ended by uid ${rest}, is answered: ${said.replace("\n", ", ")}`, async () => {
				await run(`cat > /tmp/voices.py <<'END'\n${TWO_VOICES}\nEND`);
				assert.equal(await run(`python3 /tmp/voices.py ${head} ${rest}`), said);
			});
		}

	for (const [what, path, make, message] of [
		["a FIFO", "/tmp/fifo", "mkfifo /tmp/fifo", /is a FIFO/],
		["a socket", "/tmp/socket", "python3 -c 'import socket; socket.socket(1).bind(\"/tmp/socket\")'", /is a socket/],
		["a device", "/dev/zero", "true", /is a device/],
		["a terminal", "/dev/ptmx", "true", /is a device/],
		["a directory", "/etc", "true", /is a directory/],
		["a process's memory", "/proc/self/mem", "true", /cannot be read as a file|takes no files/],
		["what is a pipe or file of the supervisor", "/proc/self/fd/3", "true", /is a socket|is a FIFO/],
	] as const) {
		test(`${what} is neither read nor written as a file`, async () => {
			await run(`rm -f ${path.startsWith("/tmp/") ? path : "/tmp/none"}; ${make}`);
			const url = `http://${address}:49983/files?path=${path}`;
			const upload = { method: "POST", headers: { "content-type": "application/octet-stream" }, body: "x" };
			for (const init of [{}, { method: "HEAD" }, upload]) {
				const answer = await fetch(url, { ...init, signal: AbortSignal.timeout(20_000) });
				const said = await answer.text();
				assert.equal(answer.status, 400, said);
				if (!("method" in init && init.method === "HEAD")) assert.match(said, message);
			}
		});
	}

	test("files of /proc are read whole", async () => {
		for (const path of ["/proc/version", "/proc/cpuinfo", "/proc/sys/kernel/hostname"]) {
			const answer = await fetch(`http://${address}:49983/files?path=${path}`, { signal: AbortSignal.timeout(20_000) });
			const text = await answer.text();
			assert.deepEqual([answer.status, text.trim()], [200, await run(`cat ${path}`)], path);
			assert.equal(answer.headers.get("content-length"), `${Buffer.byteLength(text)}`);
		}
	});

	/** What a sandbox's client has, without the platform. */
	const guest = () => Sandbox.connect("debug", { debug: true, sandboxUrl: `http://${address}:49983` });

	for (const directory of ["/home/user", "/tmp"]) {
		test(`a write in ${directory} follows links, is the user's, is whole for readers, and shows watchers only itself`, async () => {
			const { files } = await guest();
			const as = { user: "user" } as const;
			const place = `${directory}/writes`;
			await run(`mkdir ${place}; cd ${place}; ln -s new/target link; echo old > roots; chmod 640 roots; echo old > polled
				cat > /tmp/watch.py <<'END'\n${WATCH}\nEND
				python3 /tmp/watch.py ${place} > /tmp/seen 2>&1 & until grep -q ready /tmp/seen; do sleep 0.1; done`);
			await run(`cat > /tmp/poll.py <<'END'
import os, time
n = torn = 0
while not os.path.exists("/tmp/stop"):
    text = open("${place}/polled").read()
    n += 1
    torn += len(text) < 4 or (text != "old\\n" and text != text[0] * len(text))
print(n, torn)
END
				rm -f /tmp/stop; python3 /tmp/poll.py > /tmp/polled 2>&1 & sleep 0.2`);
			await files.write(`${place}/link`, "content", as);
			await files.write(`${place}/roots`, "content", as);
			for (let i = 0; i < 15; i++) await files.write(`${place}/polled`, String(i % 10).repeat(20_000 + i * 9_000), as);
			await Promise.all([1, 2, 3].map((i) => files.write(`${place}/same`, String(i).repeat(i * 100_000), as)));
			await files.write(`${place}/end`, "", as);
			await run("touch /tmp/stop; until [ -s /tmp/polled ] && grep -q end /tmp/seen; do sleep 0.1; done");
			assert.equal(
				await run(`cd ${place}; readlink link; cat new/target; stat -c ' %U' new/target`),
				"new/target\ncontent user",
			);
			assert.equal(await run(`cd ${place}; cat roots; stat -c ' %U %a' roots`), "content user 640");
			assert.match(await run("cat /tmp/polled"), /^[1-9]\d* 0$/);
			assert.match(await files.read(`${place}/same`), /^(1{100000}|2{200000}|3{300000})$/);
			const names = [...new Set((await run("cat /tmp/seen")).split("\n"))];
			assert.deepEqual(names.sort(), ["end", "new", "polled", "ready", "roots", "same"].sort());
			await run(`rm -r ${place}`);
		});
	}

	test("a killed terminal ends what is in its foreground, and a command ends with its shell", async () => {
		const { commands, pty } = await guest();
		const terminal = await pty.create({ cols: 80, rows: 24, onData: () => undefined, timeoutMs: 0, user: "root" });
		await pty.sendInput(terminal.pid, new TextEncoder().encode("trap '' HUP; sleep 4321\n"));
		assert.equal(await run("until pgrep -f '^sleep 4321'; do sleep 0.1; done > /dev/null; echo runs"), "runs");
		assert.equal(await pty.kill(terminal.pid), true);
		assert.equal(
			await run(
				"for i in $(seq 50); do pgrep -f '^sleep 4321' || break; sleep 0.1; done > /dev/null; pgrep -f '^sleep 4321'; echo over",
			),
			"over",
		);
		assert.equal(await pty.kill(terminal.pid), false);
		const began = Date.now();
		const said = await commands.run("(while :; do echo x; sleep 0.02; done) & echo $!", {
			user: "root",
			timeoutMs: 60_000,
		});
		assert.ok(Date.now() - began < 20_000);
		await run(`kill ${/\d+/.exec(said.stdout)?.[0]}`);
	});

	test("links and FIFOs are listed, copied and moved without a complaint", async () => {
		const said = await run(`mkdir /root/kinds; cd /root/kinds; ln -s /etc/passwd link; ln -s nowhere broken; mkfifo fifo
			{ ls -l link broken fifo; ls -la .; ls -lR .; cp -a fifo fifo2; mv fifo2 /tmp/fifo3; mv /tmp/fifo3 fifo4; cp -a . /root/kinds2; rsync -a . /root/kinds3; } > /dev/null
			echo status $?; cd /root; tar c kinds | tar t | sort | tr '\\n' ' '; rm -r kinds kinds2 kinds3`);
		assert.equal(said, "status 0\nkinds/ kinds/broken kinds/fifo kinds/fifo4 kinds/link");
	});

	test("names are looked up in no time, the sandbox's own too", async () => {
		const named = await fetch(`http://${address}:49984/init`, {
			method: "POST",
			body: JSON.stringify({ hostname: "ownname" }),
		});
		assert.equal(named.status, 204);
		const began = Date.now();
		assert.match(await run("getent hosts $(hostname); echo $?"), /ownname\n0$/);
		assert.equal(await run("getent hosts no-such-name.example; echo $?"), "2");
		assert.equal(await run("python3 -c 'import socket; print(socket.getfqdn())'"), "ownname");
		assert.ok(Date.now() - began < 8_000, `${Date.now() - began} ms`);
	});

	test("git pushes to and pulls from a daemon inside, by name and by number, without a committer's name", async () => {
		await run(`cd /root; git init -q --bare -b main r.git; git daemon --detach --export-all --enable=receive-pack --base-path=/root /root; sleep 1
			git config --global init.defaultBranch main`);
		const began = Date.now();
		const said =
			await run(`cd /root; git clone -q git://127.0.0.1/r.git a 2>/dev/null; cd a; git checkout -q -B main; echo 1 > f; git add f
			git -c user.name=x -c user.email=x@y commit -qm one; git push -q origin HEAD:main; cd ..; git clone -q git://localhost/r.git b; cd b
			echo 2 > f; git -c user.name=x -c user.email=x@y commit -qam two; git push -q; cd ../a; git pull -q git://127.0.0.1/r.git main; git log --format=%s`);
		assert.equal(said, "two\none");
		assert.ok(Date.now() - began < 10_000 * (isolation === "microvm" ? 3 : 1), `${Date.now() - began} ms`);
	});
}

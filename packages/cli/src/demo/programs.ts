/** A small project: a server that counts requests in memory only, and a ticker that counts tenths of seconds. */
export const PROJECT = [
	{
		path: "/home/user/project/server.mjs",
		data: `import { createServer } from "node:http";
let count = 0;
createServer((request, response) => response.end(String(++count))).listen(3000, () => console.log("listening"));
`,
	},
	{
		path: "/home/user/project/ticker.py",
		data: `import os, time
n = 0
while True:
    n += 1
    with open("/tmp/ticks.new", "w") as f:
        f.write(str(n))
    os.replace("/tmp/ticks.new", "/tmp/ticks")
    time.sleep(0.1)
`,
	},
	{ path: "/home/user/project/README.md", data: "# A project of an agent\n" },
];

/** Where the project's server listens. */
export const PORT = 3000;

/** A command that ends well once the server listens and the ticker has ticked, without being counted as a request. */
export const UNTIL_THEY_RUN = `for i in $(seq 300); do
	[ -s /tmp/ticks ] && (exec 3<>/dev/tcp/127.0.0.1/${PORT}) 2>/dev/null && exit 0
	sleep 0.1
done
exit 1`;

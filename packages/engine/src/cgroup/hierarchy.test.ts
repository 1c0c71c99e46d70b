import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseHierarchy, KERNEL_OVERHEAD_MIB, limitFiles, memoryLimit } from "./hierarchy.ts";

const V1 = ["memory", "cpu", "cpuacct", "pids", "freezer"];
const v1Mounts = V1.map((name) => `cgroup /sys/fs/cgroup/${name} cgroup rw,relatime,${name} 0 0`).join("\n");
const v2Mount = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0";
const hybrid = `${v1Mounts}\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0`;
const together = v1Mounts.replace(
	/cgroup\/cpu cgroup rw,relatime,cpu\b/,
	"cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct",
);

const rows: [string, string, string, string | undefined][] = [
	["v2 with controllers", v2Mount, "cpuset cpu io memory pids", "v2"],
	["v1 alone", v1Mounts, "", "v1"],
	["v1 beside an empty v2", hybrid, "", "v1"],
	["v1 with cpu and cpuacct mounted together", together, "", "v1"],
	["v2 without the memory controller", v2Mount, "cpu pids", undefined],
	["v1 without the freezer", v1Mounts.replace(/.*freezer.*/, ""), "", undefined],
];

for (const [name, mounts, controllers, version] of rows) {
	test(`cgroup hierarchy: ${name}`, () => {
		assert.equal(chooseHierarchy(mounts, () => controllers)?.version, version);
	});
}

test("limits are the same in both versions, in each one's own words", () => {
	const limits = { cpuCount: 2, memoryMiB: 1024, diskMiB: 1, pids: 100 };
	const value = (version: "v1" | "v2", file: string) =>
		limitFiles(version, limits).find((one) => one.file === file)?.value;
	assert.equal(value("v1", "memory.limit_in_bytes"), value("v2", "memory.max"));
	assert.equal(value("v1", "pids.max"), value("v2", "pids.max"));
	assert.equal(value("v2", "cpu.max"), "200000 100000");
	assert.equal(value("v1", "cpu.cfs_quota_us"), "200000");
});

test("what runs never swaps: no limit leaves room for it, and the limit can be lowered in this order", () => {
	const limits = { memoryMiB: 1024 };
	const files = (version: "v1" | "v2") => memoryLimit(version, limits).map(({ file, value }) => [file, value]);
	const bytes = String((1024 + KERNEL_OVERHEAD_MIB) * 2 ** 20);
	assert.deepEqual(files("v1"), [
		["memory.limit_in_bytes", bytes],
		["memory.memsw.limit_in_bytes", bytes],
		["memory.swappiness", "0"],
	]);
	assert.deepEqual(files("v2"), [
		["memory.max", bytes],
		["memory.swap.max", "0"],
	]);
});

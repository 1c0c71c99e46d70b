/** Flags of every `runsc` process of a sandbox. A generation can only be restored under the same ones. */
export const RUNSC_FLAGS = [
	// What the guest fsyncs reaches the disk, and file data stays out of the memory image.
	"--overlay2=none",
	// The guest is told as many CPUs as its cgroup lets it use.
	"--cpu-num-from-quota",
	"--network=sandbox",
	"--platform=systrap",
	"--host-uds=none",
	"--net-disconnect-ok",
] as const;

/** What a guest's output is to gVisor, which stores that with it: it would not go on with another. */
export const OUTPUT = "pipe";

/** The guest as the host knows it: the same inside every sandbox. */
export const GUEST = {
	/** The sandbox's own address on its only interface. */
	address: "10.0.0.2",
	/** The one neighbour it has; everything the gateway sends comes from here. */
	gateway: "10.0.0.1",
	prefixLength: 30,
	/** Where the supervisor listens. */
	supervisorPort: 49983,
	/** Where it listens for the host alone: the gateway forwards nothing to this port. */
	hostPort: 49984,
	/** Where the supervisor's bundle is mounted, read-only. */
	mount: "/.dormice",
	/** The envd version the supervisor reports; clients choose features by it. */
	envdVersion: "0.6.13",
} as const;

/** What one sandbox may use. */
export type Limits = { cpuCount: number; memoryMiB: number; diskMiB: number; pids: number };

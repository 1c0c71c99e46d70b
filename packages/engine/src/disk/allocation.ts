import { stat, statfs, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

const LOOP_MAJOR = 7;
/** What ext4 sets aside by itself (`ext4_calculate_resv_clusters` in fs/ext4/super.c). */
const USUAL = { ofBlocks: 1 / 50, most: 4096 };

/**
 * Has the ext4 of an image that is mounted at `mountPoint` give out no blocks any more, or again: what asks for some is told
 * that the disk is full. Journal, metadata and what was accepted before are still written. False where it is not mounted.
 */
export async function allowAllocation(mountPoint: string, image: string, allowed: boolean): Promise<boolean> {
	const [{ dev }, above, { size }] = await Promise.all([stat(mountPoint), stat(dirname(mountPoint)), stat(image)]);
	if (dev === above.dev || ((dev >> 8) & 0xfff) !== LOOP_MAJOR) return false;
	const blocks = Math.floor(size / (await statfs(mountPoint)).bsize);
	const reserved = allowed ? Math.min(Math.floor(blocks * USUAL.ofBlocks), USUAL.most) : blocks - 1;
	const minor = (dev & 0xff) | ((dev >> 12) & 0xfff00);
	await writeFile(`/sys/fs/ext4/loop${minor}/reserved_clusters`, String(reserved));
	return true;
}

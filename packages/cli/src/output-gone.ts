/** What a shell reports of a program whose reader went away, as in `dormice logs ID | head -1`. */
export const BROKEN_PIPE_EXIT_CODE = 141;

/** EIO: the terminal was closed. */
const GONE = ["EPIPE", "EIO"];

let whenGone = (): void => process.exit(BROKEN_PIPE_EXIT_CODE);

/** Ends this process when its output has no reader any more, unless a command wants to do something first. */
export function watchOutput(): void {
	for (const stream of [process.stdout, process.stderr]) {
		stream.on("error", (error) => {
			if (!isOutputGone(error)) throw error;
			whenGone();
		});
	}
}

export function isOutputGone(error: unknown): boolean {
	return GONE.includes((error as NodeJS.ErrnoException).code ?? "");
}

/** Does this instead, as long as it is not disposed of. */
export function onOutputGone(act: () => void): Disposable {
	const before = whenGone;
	whenGone = act;
	return {
		[Symbol.dispose]: () => {
			whenGone = before;
		},
	};
}

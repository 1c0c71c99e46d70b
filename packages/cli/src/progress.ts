import pc from "picocolors";

/** What happens while something long is done. Plain data: it also travels from a background keeper to its starter. */
export type ProgressEvent =
	| { kind: "begin"; title: string }
	| { kind: "line"; text: string }
	| { kind: "end"; failed: boolean };

export type Progress = (event: ProgressEvent) => void;

/** Does `work` as one visible step. */
export async function step<T>(
	progress: Progress,
	title: string,
	work: (line: (text: string) => void) => Promise<T>,
): Promise<T> {
	progress({ kind: "begin", title });
	let failed = true;
	try {
		const result = await work((text) => progress({ kind: "line", text }));
		failed = false;
		return result;
	} finally {
		progress({ kind: "end", failed });
	}
}

/** Shows progress on standard error: one live line per step on a terminal, plain lines elsewhere. */
export function showProgress(stream: NodeJS.WriteStream = process.stderr): Progress {
	return stream.isTTY ? liveProgress(stream) : plainProgress(stream);
}

/** A step that takes no noticeable time is not worth a line on a log. */
const QUICK_MS = 1_000;

function plainProgress(stream: NodeJS.WritableStream): Progress {
	let begunAt = 0;
	let title = "";
	return (event) => {
		switch (event.kind) {
			case "begin":
				begunAt = performance.now();
				title = event.title;
				stream.write(`${title}\n`);
				break;
			case "line":
				stream.write(`  ${event.text}\n`);
				break;
			case "end": {
				const tookMs = performance.now() - begunAt;
				if (event.failed) stream.write(`${title}: failed after ${seconds(tookMs)}\n`);
				else if (tookMs > QUICK_MS) stream.write(`${title}: done in ${seconds(tookMs)}\n`);
			}
		}
	};
}

function liveProgress(stream: NodeJS.WriteStream): Progress {
	let begunAt = 0;
	let title = "";
	let latest = "";
	let clock: NodeJS.Timeout | undefined;
	const draw = (): void => {
		const text = `${title} ${seconds(performance.now() - begunAt)} ${latest}`;
		stream.write(`\r\x1b[2K${pc.cyan("…")} ${text.slice(0, stream.columns - 3)}`);
	};
	return (event) => {
		switch (event.kind) {
			case "begin":
				[begunAt, title, latest] = [performance.now(), event.title, ""];
				clock = setInterval(draw, 200);
				draw();
				break;
			case "line":
				latest = event.text;
				if (clock) draw();
				else stream.write(`${pc.dim(event.text)}\n`);
				break;
			case "end": {
				clearInterval(clock);
				clock = undefined;
				const mark = event.failed ? pc.red("✗") : pc.green("✓");
				stream.write(`\r\x1b[2K${mark} ${title} ${pc.dim(seconds(performance.now() - begunAt))}\n`);
			}
		}
	};
}

function seconds(ms: number): string {
	return `${(ms / 1000).toFixed(1)} s`;
}

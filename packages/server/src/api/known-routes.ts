import type { App } from "./app.ts";

/** The API's paths, to tell one that takes other methods from one that is not there. */
export class Routes {
	readonly #known: { path: RegExp; methods: string[] }[] = [];

	constructor(app: App) {
		app.addHook("onRoute", ({ url, method }) => {
			const pattern = url.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/:\w+/g, "[^/]+");
			this.#known.push({ path: new RegExp(`^${pattern}/?$`), methods: [method].flat() });
		});
	}

	methodsOf(path: string): string[] {
		const methods = this.#known.filter((known) => known.path.test(path)).flatMap((known) => known.methods);
		return [...new Set(methods)].toSorted();
	}
}

/** What a key may do: what is its own team's, or what is the platform's too. */
export type Role = "operator" | "member";

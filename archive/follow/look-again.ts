/** The file at hand is not what it was, or the server is another one: whatever follows has to be found out anew. */
export class LookAgain extends Error {}

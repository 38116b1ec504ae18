/** The user that a url logs in as. */
export function userOf(url: string): string {
  return decodeURIComponent(new URL(url).username) || 'default';
}

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** Local time in the format of C's `ctime(3)`, without its newline: `Wed Jan 29 19:14:15 2014`, `Sat Feb  1 00:00:00 2014`. */
export function ctime (date: Date): string {
  const two = (n: number) => String(n).padStart(2, '0')
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  return `${DAYS[date.getDay()]} ${MONTHS[date.getMonth()]} ${String(date.getDate()).padStart(2)} ${clock} ${date.getFullYear()}`
}

let second = NaN
let text = ''

/** The local time now. The text is computed once a second. */
export function ctimeNow (): string {
  const now = Math.floor(Date.now() / 1000)
  if (now !== second) {
    second = now
    text = ctime(new Date(now * 1000))
  }
  return text
}

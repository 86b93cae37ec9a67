/** A canvas as sharp as its screen, in the page's colours, and the few shapes that are drawn on it. */

const FONT = 'ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif'
export const DOT_PX = 4
const DIAMOND_PX = 7
/** A narrower canvas has no room for names beside its rows. */
const NARROW_PX = 620

export interface TextStyle {
  readonly size?: number
  readonly weight?: number
  readonly colour?: string
  readonly align?: CanvasTextAlign
}

export class Canvas {
  readonly element: HTMLCanvasElement
  readonly g: CanvasRenderingContext2D
  /** In CSS pixels. */
  width = 0
  height = 0
  #palette = new Map<string, string>()

  /** @param onResize told of every new size, and of new colours. */
  constructor (element: HTMLCanvasElement, onResize: () => void) {
    this.element = element
    const context = element.getContext('2d')
    if (!context) throw new Error('this browser draws nothing')
    this.g = context
    const fit = () => {
      this.width = element.clientWidth
      this.height = element.clientHeight
      element.width = Math.round(this.width * devicePixelRatio)
      element.height = Math.round(this.height * devicePixelRatio)
      onResize()
    }
    new ResizeObserver(fit).observe(element)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.#palette.clear()
      onResize()
    })
  }

  get isNarrow (): boolean {
    return this.width < NARROW_PX
  }

  /** A colour of the page: `--tcp` as `tcp`. */
  colour (name: string): string {
    const known = this.#palette.get(name) ?? getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()
    this.#palette.set(name, known)
    return known
  }

  clear (): void {
    const scale = this.width > 0 ? this.element.width / this.width : 1
    this.g.setTransform(scale, 0, 0, scale, 0, 0)
    this.g.clearRect(0, 0, this.width, this.height)
  }

  text (text: string, x: number, y: number, { size = 13, weight = 500, colour = 'ink', align = 'left' }: TextStyle = {}): void {
    this.#font(size, weight)
    this.g.fillStyle = this.colour(colour)
    this.g.textAlign = align
    this.g.textBaseline = 'middle'
    this.g.fillText(text, x, y)
  }

  textWidth (text: string, { size = 13, weight = 500 }: TextStyle = {}): number {
    this.#font(size, weight)
    return this.g.measureText(text).width
  }

  #font (size: number, weight: number): void {
    this.g.font = `${weight} ${size}px ${FONT}`
  }

  line (path: Path2D, colour: string, width: number): void {
    this.g.strokeStyle = this.colour(colour)
    this.g.lineWidth = width
    this.g.stroke(path)
  }

  /** A message: the probe's is a dot, the visitor's a diamond; hollow while nobody knows its answer. */
  message (x: number, y: number, colour: string, isYours: boolean, isHollow: boolean, alpha = 1): void {
    const { g } = this
    g.globalAlpha = alpha
    g.beginPath()
    if (isYours) {
      g.moveTo(x, y - DIAMOND_PX)
      g.lineTo(x + DIAMOND_PX, y)
      g.lineTo(x, y + DIAMOND_PX)
      g.lineTo(x - DIAMOND_PX, y)
      g.closePath()
    } else {
      g.arc(x, y, DOT_PX, 0, 2 * Math.PI)
    }
    g.fillStyle = this.colour(isHollow ? 'panel' : colour)
    g.fill()
    if (isHollow) {
      g.strokeStyle = this.colour(colour)
      g.lineWidth = 2
      g.stroke()
    }
    g.globalAlpha = 1
  }

  disc (x: number, y: number, radius: number, fill: string, stroke: string, width: number): void {
    const { g } = this
    g.beginPath()
    g.arc(x, y, radius, 0, 2 * Math.PI)
    g.fillStyle = this.colour(fill)
    g.fill()
    g.strokeStyle = this.colour(stroke)
    g.lineWidth = width
    g.stroke()
  }

  /** Clockwise, in radians from the top. */
  arc (x: number, y: number, radius: number, from: number, to: number, width: number): void {
    const { g } = this
    g.beginPath()
    g.arc(x, y, radius, from - Math.PI / 2, to - Math.PI / 2)
    g.strokeStyle = this.colour('ink')
    g.lineWidth = width
    g.lineCap = 'round'
    g.stroke()
    g.lineCap = 'butt'
  }
}

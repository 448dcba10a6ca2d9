import { join } from 'node:path'
import sharp from 'sharp'

const width = 640
const height = 480

/** Drawings in SVG, by name: three pictures that differ in colour, brightness and shape. */
const drawings = {
  dusk: `
    <linearGradient id="sky" x2="0" y2="1"><stop stop-color="#2b1055"/><stop offset="1" stop-color="#ff7e5f"/></linearGradient>
    <rect width="640" height="480" fill="url(#sky)"/>
    <circle cx="320" cy="330" r="70" fill="#ffd27f"/>
    <path d="M0 360 L150 300 L300 370 L460 290 L640 350 V480 H0 Z" fill="#1d0f33"/>`,
  harbour: `
    <rect width="640" height="480" fill="#cfe8f3"/>
    <rect y="280" width="640" height="200" fill="#3b7ea1"/>
    <path d="M120 280 L300 280 L270 330 L150 330 Z" fill="#7a3b1d"/><path d="M205 270 V100 L290 260 Z" fill="#fffdf5"/>
    <path d="M380 290 L520 290 L500 325 L400 325 Z" fill="#22303c"/><path d="M445 280 V140 L515 270 Z" fill="#f2c14e"/>`,
  composition: `
    <rect width="640" height="480" fill="#f4f1e8"/>
    <rect x="20" y="20" width="260" height="210" fill="#c1121f"/><rect x="300" y="20" width="320" height="120" fill="#fdc500"/>
    <rect x="300" y="160" width="150" height="300" fill="#003f88"/><circle cx="545" cy="320" r="75" fill="#111"/>
    <path d="M20 460 L150 250 L280 460 Z" fill="#2a9d8f"/>`,
}

/** Draws them into the folder `dir` and returns their paths. The same bytes every time. */
export async function drawSamplePictures(dir: string): Promise<string[]> {
  return await Promise.all(
    Object.entries(drawings).map(async ([name, drawing]) => {
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${drawing}</svg>`
      const path = join(dir, `${name}.png`)
      await sharp(Buffer.from(svg)).png().toFile(path)
      return path
    }),
  )
}

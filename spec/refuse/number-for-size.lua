-- expect: number-for-size.lua:3: `memory` takes a size such as 4 * GB, not the number 16
return policy "x" {
  limits = { memory = 16 },
}

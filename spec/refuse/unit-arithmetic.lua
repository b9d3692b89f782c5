-- expect: unit-arithmetic.lua:4: size * size makes no sense; write a number times a unit
return policy "x" {
  limits = {
    memory = 4 * GB * GB,
  },
}

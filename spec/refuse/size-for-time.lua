-- expect: size-for-time.lua:4: `time` takes a time such as 5 * minutes, not a size
return policy "x" {
  limits = {
    time = 4 * GB,
  },
}

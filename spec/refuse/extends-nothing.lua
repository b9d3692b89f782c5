-- expect: extends-nothing.lua:3: `extends`: there is no policy `bsae`; did you mean `base`?
return policy "x" {
  extends = "bsae",
}

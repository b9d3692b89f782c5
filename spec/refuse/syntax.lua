-- expect: syntax.lua:4: '}' expected (to close '{' at line 2) near 'extends'
return policy "x" {
  about = "no comma"
  extends = "base",
}

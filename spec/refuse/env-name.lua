-- expect: env-name.lua:2: "A=B" is no name of an environment variable; letters, digits and _, not starting with a digit
return policy "x" { env = { ["A=B"] = "c" } }

-- expect: receiver-without-name.lua:2: a receiver has a name: name = { "/full/path", … }
return policy "x" { receivers = { { "/usr/bin/logger" } } }

-- expect: publish-everywhere.lua:2: "0.0.0.0" is not a loopback address of the host, such as 127.0.0.1
return policy "x" { network = { publish { 8080, on = "0.0.0.0:8080" } } }

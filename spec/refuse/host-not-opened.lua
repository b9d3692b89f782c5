-- expect: host-not-opened.lua:5: "10.1.2.3" is internal; no allow_internal row opens it
return policy "x" {
  network = {
    hosts = {
      db = "10.1.2.3",
    },
  },
}

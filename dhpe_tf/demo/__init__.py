"""A page to look at: photographs to meshes in the browser, through a server's REST interface."""

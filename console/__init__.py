"""What operators see: the HTTP API, the WebSocket feed and the live map page.

The room shows what a `PictureSource` gives it and decides nothing: no track is made, changed or
hidden by rules of its own (tentative tracks are counted, not drawn), and own and foreign tracks
are never mixed up. It reads; it never writes.

=======================  =================================================================
`console.source`         `PictureSource`: what a node must tell the console, what it may tell
                         besides (foreign tracks, contributions, doubts), and the keys of status
`console.feed`           byte layout of a feed message, encoding and decoding; pure
`console.picture`        the present picture and what changed since; pure
`console.broadcast`      one poll for all sockets; latest wins for a slow reader
`console.foreign`        partners' tracks as the receiver holds them, a table a giver; pure
`console.contributions`  when each sensor last contributed, told from track updates; pure
`console.doubts`         since when identities are doubted, told from track updates; pure
`console.plain`          tracks as plain objects in degrees and ISO times
`console.app`            `create_app`: the routes
`console.describe`       the OpenAPI document, written by hand
`console.guard`          host and origin checks, security headers, JSON errors
`console.door`           HTTPS: operators' certificates, and their revocation
`console.server`         `serve` and `ServerThread`: uvicorn with a clean shutdown
`console/static/`        the page: plain ES modules, one idea a file
=======================  =================================================================
"""

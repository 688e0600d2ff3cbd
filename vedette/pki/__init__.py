"""The node's own authority: certificates for everything that connects.

======================  =====================================================================
`vedette.pki.names`      roles and identities (``source:gateway-1``), lifetimes
`vedette.pki.profile`    what stands in certificates and revocation lists (RFC 5280)
`vedette.pki.folder`     files of an authority, who may read them
`vedette.pki.index`      what was signed and revoked
`vedette.pki.signing`    `Desk`: the steps, each written down first
`vedette.pki.authority`  `Authority`: issue, renew, revoke, rotate
`vedette.pki.findings`   what is wrong with an authority, or soon will be
======================  =====================================================================
"""

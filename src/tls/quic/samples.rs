//! Packets of the specifications: RFC 9001 appendix A, RFC 9369 appendix A.

/// The destination of the client's first packet.
pub const DESTINATION: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];

/// RFC 9001 appendix A.3.
pub const SERVER_V1: &str = "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb3\
    8cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d06edb\
    b7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee";

/// RFC 9369 appendix A.3.
pub const SERVER_V2: &str = "dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698baeea26b91eb761d9b89237bbf872630\
    17915358230035f7fd3945d88965cf17f9af6e16886c61bfc703106fbaf3cb4cfa52382dd16a393e42757507698075b2c984c707f0a0812d8cd5a6881ea\
    f21ceda98f4bd23f6fe1a3e2c43edd9ce7ca84bed8521e2e140";

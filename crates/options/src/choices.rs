//! Options that are one word of a few, as enums.

use crate::error::ValueError;
use crate::kind::{Kind, OptionType};
use crate::value::Value;

macro_rules! choices {
    ($(#[$attribute:meta])* $name:ident { $($(#[$variant_attribute:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum $name { $($(#[$variant_attribute])* $variant),+ }

        impl $name {
            /// The word a user writes.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl OptionType for $name {
            const KIND: Kind = Kind::Choice(&[$($word),+]);

            fn from_value(value: &Value) -> Result<Self, ValueError> {
                match value {
                    $(Value::Text(word) if word == $word => Ok(Self::$variant),)+
                    other => Err(Self::KIND.refuse(other)),
                }
            }

            fn to_value(&self) -> Value {
                Value::Text(self.word().into())
            }
        }
    };
}

choices! {
    /// When the connection to the server is opened (`connection_strategy`).
    ConnectionStrategy {
        /// As soon as the server is known.
        Eager = "eager",
        /// When there is something to send.
        Lazy = "lazy",
    }
}

choices! {
    /// What becomes of a TLS connection with a malformed ClientHello that is not passed through (`malformed_hello`).
    MalformedHello {
        /// It is closed.
        Close = "close",
        /// It is relayed and recorded as it is.
        Record = "record",
    }
}

choices! {
    /// What becomes of a TLS connection whose ClientHello hides another (`ech`).
    HiddenHello {
        /// The outer name is matched as any other.
        Match = "match",
        /// It is passed through.
        Pass = "pass",
    }
}

choices! {
    /// What becomes of requests for which nothing was recorded (`server_replay_extra`).
    ServerReplayExtra {
        /// They go to the server.
        Forward = "forward",
        /// They get no answer.
        Kill = "kill",
        /// They are answered with 204.
        NoContent = "204",
        /// They are answered with 400.
        BadRequest = "400",
        /// They are answered with 404.
        NotFound = "404",
        /// They are answered with 500.
        InternalError = "500",
    }
}

choices! {
    /// A bound of the versions of TLS (`tls_version_client_min` and its like).
    #[derive(Ord, PartialOrd)]
    TlsVersion {
        /// None.
        Unbounded = "UNBOUNDED",
        /// SSL 3.0.
        Ssl3 = "SSL3",
        /// TLS 1.0.
        Tls1 = "TLS1",
        /// TLS 1.1.
        Tls1_1 = "TLS1_1",
        /// TLS 1.2.
        Tls1_2 = "TLS1_2",
        /// TLS 1.3.
        Tls1_3 = "TLS1_3",
    }
}

choices! {
    /// How much a line of the event log matters; as an option, the least important that is still shown
    /// (`termlog_verbosity`).
    ///
    /// The order is that of importance: `Error` is smallest.
    #[derive(Ord, PartialOrd)]
    Level {
        /// Only what lost data or stopped a mode.
        Error = "error",
        /// What someone should act on.
        Warn = "warn",
        /// What a user asked to see, although nothing is wrong.
        Alert = "alert",
        /// The life of the program.
        Info = "info",
        /// Each decision with its reason.
        Debug = "debug",
    }
}

choices! {
    /// How a body is shown (`dumper_default_contentview`).
    ContentView {
        /// Chosen by content type and content.
        Auto = "auto",
        /// DNS message.
        Dns = "dns",
        /// GraphQL request.
        GraphQl = "graphql",
        /// gRPC without schema.
        Grpc = "grpc",
        /// Offset, hexadecimal bytes, text.
        HexDump = "hex dump",
        /// Hexadecimal digits only.
        HexStream = "hex stream",
        /// Facts of an image.
        Image = "image",
        /// Program, a statement a line.
        JavaScript = "javascript",
        /// Indented JSON.
        Json = "json",
        /// MQTT packets.
        Mqtt = "mqtt",
        /// MessagePack as YAML.
        MsgPack = "msgpack",
        /// Form with files.
        MultipartForm = "multipart form",
        /// Protobuf without schema.
        Protobuf = "protobuf",
        /// The query of the URL.
        Query = "query",
        /// As it came, escaped for the terminal.
        Raw = "raw",
        /// Socket.IO packet.
        SocketIo = "socket.io",
        /// Form.
        UrlEncoded = "url-encoded",
        /// Style sheet, a declaration a line.
        ViewCss = "viewcss",
        /// Markup, an element a line.
        XmlHtml = "xml/html",
        /// Names of the files in it.
        ZipArchive = "zip archive",
    }
}

//! The encoding.

use bytes::Bytes;

/// Bytes that are not what the protocol says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Malformed;

/// A packet being written; its length comes first once it is finished.
#[derive(Debug)]
pub(super) struct Out(Vec<u8>);

impl Out {
    pub(super) fn packet() -> Self {
        Self(vec![0; 4])
    }

    pub(super) fn int(&mut self, number: i32) -> &mut Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(super) fn long(&mut self, number: i64) -> &mut Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(super) fn bool(&mut self, value: bool) -> &mut Self {
        self.0.push(u8::from(value));
        self
    }

    pub(super) fn buffer(&mut self, bytes: &[u8]) -> &mut Self {
        self.int(i32::try_from(bytes.len()).expect("packets are about 1 MB"));
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn string(&mut self, text: &str) -> &mut Self {
        self.buffer(text.as_bytes())
    }

    pub(super) fn finish(mut self) -> Bytes {
        let len = i32::try_from(self.0.len() - 4).expect("packets are about 1 MB");
        self.0[..4].copy_from_slice(&len.to_be_bytes());
        Bytes::from(self.0)
    }
}

/// A packet being read, after its length.
#[derive(Debug)]
pub(super) struct In(pub(super) Bytes);

impl In {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let array = *self.0.first_chunk::<N>().ok_or(Malformed)?;
        let _ = self.0.split_to(N);
        Ok(array)
    }

    pub(super) fn int(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(super) fn long(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub(super) fn bool(&mut self) -> Result<bool, Malformed> {
        Ok(self.array::<1>()? != [0])
    }

    /// A null buffer is an empty one.
    pub(super) fn buffer(&mut self) -> Result<Bytes, Malformed> {
        let len = self.int()?;
        if len == -1 {
            return Ok(Bytes::new());
        }
        let len = usize::try_from(len).map_err(|_| Malformed)?;
        if len > self.0.len() {
            return Err(Malformed);
        }
        Ok(self.0.split_to(len))
    }

    pub(super) fn string(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.buffer()?.to_vec()).map_err(|_| Malformed)
    }

    pub(super) fn strings(&mut self) -> Result<Vec<String>, Malformed> {
        let count = usize::try_from(self.int()?).unwrap_or(0);
        (0..count).map(|_| self.string()).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
